"""Bounds from score vectors: the published numbers, the hull, and how often they lie."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy import ndarray as Array
from scipy.stats import norm

from safelight.errors import InputError
from safelight.measures.gaussian_dp import epsilon_of_mu
from safelight.measures.one_run import epsilon_one_run, mu_one_run
from safelight.measures.one_run_scores import epsilon_many_runs, epsilon_of_scores, mu_of_scores, roc_hull

N = 10_000
QUANTILES = norm.ppf((np.arange(N) + 0.5) / N)


@pytest.mark.parametrize(
    ("shift", "epsilon", "f_dp", "many_runs"),
    [(1.0, 1.13346, 2.164749, 1.787), (2.0, 2.311945, 4.7218075, 3.828), (4.0, 4.395568, 9.133752, 6.413)],
)
def test_published_score_vectors(shift: float, epsilon: float, f_dp: float, many_runs: float) -> None:
    inside, start = QUANTILES + shift, time.process_time()
    assert epsilon_of_scores(inside, QUANTILES, 1e-6) == pytest.approx(epsilon, abs=1e-5)
    assert epsilon_of_mu(mu_of_scores(inside, QUANTILES), 1e-6) == pytest.approx(f_dp, abs=1e-5)
    assert epsilon_many_runs(inside, QUANTILES, 1e-6) == pytest.approx(many_runs, abs=5e-4)
    assert time.process_time() - start < 5.0


def test_hull_is_the_literal_one(rng: np.random.Generator) -> None:
    inside, outside = rng.integers(2, 9, 30), rng.integers(0, 7, 40)
    points = [(int((outside >= t).sum()), int((inside >= t).sum())) for t in [np.inf, *range(9, -1, -1)]]
    corners = {
        p
        for p in points
        # A corner lies on no segment between two others, nor under one.
        if not any(
            a[0] <= p[0] <= b[0]
            and p not in (a, b)
            and a[0] < b[0]
            and p[1] * (b[0] - a[0]) <= a[1] * (b[0] - p[0]) + b[1] * (p[0] - a[0])
            for a in points
            for b in points
        )
        and not any(q[0] == p[0] and q[1] > p[1] for q in points)
    }
    hull = {(int(x), int(y)) for x, y in roc_hull(inside, outside)}
    assert corners <= hull | {(0, 0)}
    assert hull <= corners | {(0, 0)}


def test_fixed_numbers_of_guesses_are_single_audits_with_bonferroni(rng: np.random.Generator) -> None:
    inside, outside = rng.normal(1.5, 1, 200), rng.normal(0, 1, 200)
    order = np.argsort(-np.concatenate([inside, outside]))
    right = {g: int(np.sum(order[:g] < 200)) for g in (10, 50, 100)}
    level = 1 - 0.05 / 3
    assert mu_of_scores(inside, outside, guesses=[10, 50, 100]) == pytest.approx(
        max(mu_one_run(400, g, c, confidence=level) for g, c in right.items()), abs=1e-8
    )
    assert epsilon_of_scores(inside, outside, 1e-5, guesses=[10, 50, 100]) == pytest.approx(
        max(epsilon_one_run(400, g, c, 1e-5, confidence=level) for g, c in right.items()), abs=1e-8
    )


def false_alarms(n: int, runs: int, guesses: list[int] | None) -> float:
    """Share of runs without a leak in which the bound is above 0, at a nominal 5 %."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(runs):
        scores, coin = rng.standard_normal(2 * n), rng.random(2 * n) < 0.5
        alarms += epsilon_of_scores(scores[coin], scores[~coin], 0.0, guesses=guesses) > 0.0
    return alarms / runs


def test_fixed_guesses_keep_their_level_where_the_hull_does_not() -> None:
    assert false_alarms(1000, 600, [10, 100, 1000]) <= 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert 0.055 < false_alarms(1000, 600, None) < 0.11


def test_infinite_and_equal_scores() -> None:
    equal = np.zeros(50)
    assert epsilon_of_scores(equal, equal, 1e-5) == 0.0
    assert mu_of_scores(equal, equal) == 0.0
    assert epsilon_many_runs(equal, equal, 1e-5) == 0.0
    high, low = np.full(50, np.inf), np.full(50, -np.inf)
    assert mu_of_scores(high, low, guesses=[50]) == pytest.approx(mu_one_run(100, 50, 50))
    assert epsilon_many_runs(high, low, 1e-5) > 1.0


@pytest.mark.parametrize(
    ("inside", "outside", "guesses", "words"),
    [
        (np.array([1.0, np.nan]), np.zeros(2), None, "NaN"),
        (np.array([]), np.zeros(2), None, r"shapes \(0,\)"),
        (np.ones(2), np.zeros(2), [5], "between 1 and the 4 coins"),
        (np.ones(2), np.zeros(2), [], "between 1 and the 4 coins"),
    ],
)
def test_impossible_scores(inside: Array, outside: Array, guesses: list[int] | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        epsilon_of_scores(inside, outside, 1e-5, guesses=guesses)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
