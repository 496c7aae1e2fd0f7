"""Prediction measures against scikit-learn and a literal version."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, matthews_corrcoef, roc_auc_score

from safelight.errors import InputError
from safelight.measures.tables import accuracy, g_mean, mcc, table_measures

pairs = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=30)
    )
)


def literal_g_mean(truth: np.ndarray, predicted: np.ndarray) -> float:
    recalls = [np.mean(predicted[truth == c] == c) for c in np.unique(truth)]
    return math.prod(recalls) ** (1 / len(recalls))


@pytest.mark.filterwarnings("ignore:A single label")
@settings(max_examples=80, deadline=None)
@given(pairs)
def test_rates_are_the_literal_ones(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    k, rows = drawn
    truth, predicted = np.array(rows).T
    confusion = confusion_matrix(truth, predicted, labels=range(k)).astype(float)
    assert accuracy(confusion) == pytest.approx(accuracy_score(truth, predicted))
    assert g_mean(confusion) == pytest.approx(literal_g_mean(truth, predicted))
    assert mcc(confusion) == pytest.approx(matthews_corrcoef(truth, predicted))


@pytest.mark.parametrize("k", [2, 4])
def test_values_names_and_order(k: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, k, 120)
    scores = rng.random((120, k)) + 0.5 * np.eye(k)[truth]
    scores /= scores.sum(axis=1, keepdims=True)
    predicted = scores.argmax(axis=1)
    measured = {m.name: m for m in table_measures(predicted, truth, k, rng, scores)}
    assert list(measured) == ["accuracy", "g_mean", "mcc", "auc"]
    assert measured["accuracy"].value == pytest.approx(accuracy_score(truth, predicted))
    assert measured["g_mean"].value == pytest.approx(literal_g_mean(truth, predicted))
    assert measured["mcc"].value == pytest.approx(matthews_corrcoef(truth, predicted))
    wanted = roc_auc_score(truth, scores[:, 1]) if k == 2 else roc_auc_score(truth, scores, multi_class="ovr")
    assert measured["auc"].value == pytest.approx(wanted)
    assert measured["auc"].control == 0.5
    for measurement in measured.values():
        assert measurement.low < measurement.value < measurement.high


def test_planted_accuracy_is_covered_and_persons_widen() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(120):
        truth = rng.integers(0, 2, 100)
        predicted = np.where(rng.random(100) < 0.7, truth, 1 - truth)
        found = table_measures(predicted, truth, 2, rng, draws=200)[0]
        covered += found.low <= 0.7 <= found.high
    assert 0.88 <= covered / 120 <= 1.0
    person, truth = np.repeat(np.arange(20), 10), rng.integers(0, 2, 200)
    predicted = np.where(np.repeat(rng.random(20) < 0.7, 10), truth, 1 - truth)
    rows, grouped = (table_measures(predicted, truth, 2, rng, groups=g)[0] for g in (None, person))
    assert grouped.high - grouped.low > 2 * (rows.high - rows.low)


def test_all_right_still_has_an_interval() -> None:
    truth = np.arange(40) % 2
    for measurement in table_measures(truth, truth, 2, np.random.default_rng(0), np.eye(2)[truth]):
        assert measurement.value == measurement.high == 1.0
        assert 0.7 < measurement.low < 1.0


def test_one_class_has_no_auc_and_infinite_scores_have_one() -> None:
    rng, zeros = np.random.default_rng(0), np.zeros(10, dtype=int)
    assert table_measures(zeros, zeros, 2, rng, np.zeros((10, 2)))[-1].value is None
    truth = np.arange(10) % 2
    scores = np.stack([np.zeros(10), np.where(truth == 1, np.inf, -np.inf)], axis=1)
    assert table_measures(truth, truth, 2, rng, scores)[-1].value == 1.0


@pytest.mark.parametrize(
    ("predicted", "truth", "scores", "words"),
    [
        (np.array([0, 1]), np.array([0]), None, "must pair up"),
        (np.array([0, 2]), np.array([0, 1]), None, "0 to 1, and the largest is 2"),
        (np.array([0.0, 1.0]), np.array([0, 1]), None, "class numbers, and they are float64"),
        (np.array([0, 1]), np.array([0, 1]), np.ones((2, 3)), r"\(2, 2\), and they are \(2, 3\)"),
        (np.array([0, 1]), np.array([0, 1]), np.full((2, 2), np.nan), "NaN"),
    ],
)
def test_impossible_input(predicted, truth, scores, words: str) -> None:
    with pytest.raises(InputError, match=words):
        table_measures(predicted, truth, 2, np.random.default_rng(0), scores)
