"""AUC and TPR at FPR: literal pairs, false alarms, persons, infinite and equal scores."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray as Array
from scipy.stats import mannwhitneyu, norm

from safelight.errors import InputError
from safelight.measures.binomial import clopper_pearson
from safelight.measures.bootstrap import units_of
from safelight.measures.roc import auc, auc_interval, auc_p, roc_points, tpr_at_fpr
from safelight.measures.threshold import above_threshold_p, allowed
from safelight.measures.weighted_roc import ranked

scores = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf]), min_size=1, max_size=12).map(np.array)


def literal_auc(members: Array, nonmembers: Array) -> float:
    return float(np.mean([(m > n) + 0.5 * (m == n) for m in members for n in nonmembers]))


def literal_tpr(members: Array, nonmembers: Array, fpr: float) -> float:
    threshold = sorted(nonmembers, reverse=True)[allowed(fpr, len(nonmembers))]
    return float(np.mean([m > threshold for m in members]))


@settings(max_examples=80, deadline=None)
@given(scores, scores)
def test_auc_is_the_share_of_pairs(members: Array, nonmembers: Array) -> None:
    assert auc(members, nonmembers) == pytest.approx(literal_auc(members, nonmembers))
    assert auc(members, nonmembers) + auc(nonmembers, members) == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(scores, scores, st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_tpr_counts_members_strictly_above_the_threshold(members: Array, nonmembers: Array, fpr: float) -> None:
    tested = tpr_at_fpr(members, nonmembers, fpr, np.random.default_rng(0), draws=20)
    if fpr < 1 / len(nonmembers):
        assert tested.measurement.value is None
        assert tested.p is None
    else:
        assert tested.measurement.value == pytest.approx(literal_tpr(members, nonmembers, fpr))
        assert 0.0 <= tested.measurement.low <= tested.measurement.value <= tested.measurement.high <= 1.0
        assert 0.0 < tested.p <= 1.0
    assert tested.measurement.floor == 1 / len(nonmembers)
    assert tested.measurement.control == fpr


def test_weights_are_repeated_rows() -> None:
    rng = np.random.default_rng(0)
    values, member = rng.integers(0, 6, 25).astype(float), np.arange(25) < 10
    weights = rng.integers(0, 4, (30, 25)).astype(float)
    pool, fprs = ranked(values), np.array([0.05, 0.2, 0.5, 1.0])
    got_auc = pool.auc(weights * member, weights * ~member)
    got_tpr = pool.tpr(weights * member, weights * ~member, fprs)
    for row, weight in enumerate(weights.astype(int)):
        inside, outside = np.repeat(values[:10], weight[:10]), np.repeat(values[10:], weight[10:])
        assert got_auc[row] == pytest.approx(literal_auc(inside, outside))
        assert got_tpr[row, :3] == pytest.approx([literal_tpr(inside, outside, fpr) for fpr in fprs[:3]])
        assert got_tpr[row, 3] == 1.0


def test_name_floor_and_missing_digit() -> None:
    rng = np.random.default_rng(0)
    tested = tpr_at_fpr(rng.standard_normal(200), rng.standard_normal(171), 0.001, rng)
    assert tested.measurement.name == "tpr_at_fpr_0.001"
    assert tested.measurement.value is tested.measurement.low is tested.measurement.high is tested.p is None
    assert tested.measurement.floor == pytest.approx(0.00585, abs=1e-5)


def test_false_alarms_at_a_nominal_2_5_percent() -> None:
    """A Clopper-Pearson limit on the TPR forgets that the threshold was drawn too."""
    rng, runs, members, nonmembers, fpr = np.random.default_rng(0), 4000, 1000, 1000, 0.01
    inside = rng.standard_normal((runs, members), dtype=np.float32)
    outside = rng.standard_normal((runs, nonmembers), dtype=np.float32)
    r = allowed(fpr, nonmembers)
    threshold = np.partition(outside, nonmembers - r - 1, axis=1)[:, nonmembers - r - 1]
    count = (inside > threshold[:, None]).sum(axis=1)
    ours = np.mean(above_threshold_p(count, members, r, nonmembers) <= 0.025)
    limit = {c: clopper_pearson(int(c), members)[0] for c in np.unique(count)}
    naive = np.mean([limit[c] > fpr for c in count])
    assert ours <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)
    assert ours > 0.01
    assert 0.07 < naive < 0.15
    tested = tpr_at_fpr(inside[0], outside[0], fpr, rng, draws=10)
    assert tested.p == pytest.approx(float(above_threshold_p(count[0], members, r, nonmembers)))


def test_planted_tpr_is_inside_the_interval() -> None:
    rng, inside = np.random.default_rng(1), 0
    truth = norm.sf(norm.isf(0.05) - 1.0)
    for _ in range(150):
        tested = tpr_at_fpr(rng.normal(1.0, 1, 300), rng.standard_normal(300), 0.05, rng, draws=200)
        inside += tested.measurement.low <= truth <= tested.measurement.high
        assert tested.p < 0.05
    assert inside / 150 >= 0.90


def test_planted_auc_is_inside_the_interval() -> None:
    rng, inside = np.random.default_rng(2), 0
    truth = norm.cdf(1.0 / np.sqrt(2))
    for _ in range(150):
        low, high = auc_interval(rng.normal(1.0, 1, 80), rng.standard_normal(60), rng, draws=300)
        inside += low <= truth <= high
    assert 0.89 <= inside / 150 <= 0.99


def persons(rng: np.random.Generator, shift: float) -> tuple[Array, Array, Array, Array]:
    """30 people a side with 10 records each that nearly agree."""
    base = np.repeat(rng.standard_normal(60), 10) + 0.1 * rng.standard_normal(600)
    return base[:300] + shift, base[300:], np.repeat(np.arange(30), 10), np.repeat(np.arange(30, 60), 10)


def test_persons_widen_intervals_and_save_the_level() -> None:
    rng, by_row, by_person, tpr_alarms = np.random.default_rng(3), 0, 0, 0
    for _ in range(120):
        members, nonmembers, who_in, who_out = persons(rng, 0.0)
        by_row += auc_p(members, nonmembers, rng) <= 0.05
        by_person += auc_p(members, nonmembers, rng, who_in, who_out, draws=99) <= 0.05
        tested = tpr_at_fpr(members, nonmembers, 0.05, rng, who_in, who_out, draws=5, shuffles=99)
        tpr_alarms += tested.p <= 0.05
    assert by_row / 120 > 0.12
    assert by_person / 120 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    assert tpr_alarms / 120 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 120)
    members, nonmembers, who_in, who_out = persons(rng, 0.5)
    rows = auc_interval(members, nonmembers, rng, draws=300)
    grouped = auc_interval(members, nonmembers, rng, who_in, who_out, draws=300)
    assert grouped[1] - grouped[0] > 2 * (rows[1] - rows[0])


def test_persons_on_both_sides() -> None:
    """Every person has records in and out: only the difference inside a person speaks."""
    rng = np.random.default_rng(4)
    who_in, who_out = np.repeat(np.arange(40), 7), np.repeat(np.arange(40), 3)
    base = 5 * rng.standard_normal(40)
    members, nonmembers = base[who_in] + rng.standard_normal(280), base[who_out] + rng.standard_normal(120)
    assert auc_p(members, nonmembers, rng, who_in, who_out, draws=999) > 0.02
    assert auc_p(members + 1.0, nonmembers, rng, who_in, who_out, draws=999) == 0.001
    assert tpr_at_fpr(members + 9.0, nonmembers, 0.1, rng, who_in, who_out, shuffles=999).p == 0.001


def test_auc_p_against_all_orders_and_scipy() -> None:
    rng = np.random.default_rng(5)
    members, nonmembers = np.array([3.0, 1.5, 2.2]), np.array([0.3, 2.0, 1.0, 0.1])
    pooled = np.concatenate([members, nonmembers])
    aucs = [literal_auc(pooled[list(c)], np.delete(pooled, list(c))) for c in combinations(range(7), 3)]
    literal = np.mean(np.array(aucs) >= literal_auc(members, nonmembers) - 1e-12)
    assert auc_p(members, nonmembers, rng) == pytest.approx(literal)
    tied_in, tied_out = np.array([2.0, 2.0, 1.0, 3.0]), np.array([2.0, 1.0, 0.0, 0.0])
    pooled = np.concatenate([tied_in, tied_out])
    aucs = [literal_auc(pooled[list(c)], np.delete(pooled, list(c))) for c in combinations(range(8), 4)]
    literal = np.mean(np.array(aucs) >= literal_auc(tied_in, tied_out) - 1e-12)
    assert auc_p(tied_in, tied_out, rng, draws=20_000) == pytest.approx(literal, abs=0.012)
    large_in, large_out = rng.integers(0, 9, 200).astype(float), rng.integers(0, 8, 150).astype(float)
    assert auc_p(large_in, large_out, rng) == pytest.approx(
        mannwhitneyu(large_in, large_out, alternative="greater", method="asymptotic").pvalue
    )


def test_auc_p_keeps_its_level_with_ties() -> None:
    rng = np.random.default_rng(6)
    p = [auc_p(rng.integers(0, 3, 60), rng.integers(0, 3, 60), rng) for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


@pytest.mark.parametrize("size", [5, 80])
def test_equal_and_infinite_scores(size: int) -> None:
    rng, equal = np.random.default_rng(0), np.zeros(size)
    assert auc(equal, equal) == 0.5
    assert auc_p(equal, equal, rng) == 1.0
    low, high = auc_interval(equal, equal, rng, draws=50)
    assert low < 0.5 < high
    tested = tpr_at_fpr(equal, equal, 0.25, rng, draws=50)
    assert tested.measurement.value == 0.0
    assert tested.p == 1.0
    assert tested.measurement.high > 0.0
    members, nonmembers = np.full(size, np.inf), np.full(size, -np.inf)
    assert auc(members, nonmembers) == 1.0
    low, high = auc_interval(members, nonmembers, rng, draws=50)
    assert low < 1.0 == high
    assert 0.0 < auc_p(members, nonmembers, rng, draws=999) < 0.01
    tested = tpr_at_fpr(members, nonmembers, 0.25, rng, draws=50)
    assert tested.measurement.value == 1.0
    assert tested.measurement.low < 1.0
    fpr, tpr, below, above = roc_points(members, np.append(nonmembers, np.inf), rng, draws=20)
    assert np.isfinite([fpr, tpr, below, above]).all()


def test_curve_is_the_same_tpr_with_a_band() -> None:
    rng = np.random.default_rng(7)
    members, nonmembers = rng.normal(1, 1, 150), rng.standard_normal(200)
    fpr, tpr, low, high = roc_points(members, nonmembers, rng, points=25, draws=200)
    assert fpr[0] == pytest.approx(1 / 200)
    assert fpr[-1] == 1.0
    assert tpr[:-1] == pytest.approx([literal_tpr(members, nonmembers, f) for f in fpr[:-1]])
    assert tpr[-1] == 1.0
    assert (np.diff(tpr) >= 0).all()
    assert ((low <= tpr) & (tpr <= high)).all()
    truth = norm.sf(norm.isf(fpr[:-1]) - 1.0)
    assert np.mean((low[:-1] <= truth) & (truth <= high[:-1])) > 0.7


def test_same_seed_same_numbers() -> None:
    members, nonmembers = np.arange(30.0), np.arange(25.0) - 3
    first, again = (tpr_at_fpr(members, nonmembers, 0.1, np.random.default_rng(1)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: auc(np.array([]), np.ones(2)), r"shapes \(0,\) and \(2,\)"),
        (lambda r: auc(np.array([1.0, np.nan]), np.ones(2)), "1 of 4 scores are NaN"),
        (lambda r: auc(np.ones((2, 1)), np.ones(2)), r"shapes \(2, 1\)"),
        (lambda r: tpr_at_fpr(np.ones(2), np.ones(2), 1.0, r), "fpr must lie between 0 and 1"),
        (lambda r: auc_p(np.ones(2), np.ones(2), r, np.arange(2)), "one side only"),
        (lambda r: auc_interval(np.ones(2), np.ones(2), r, np.arange(3), np.arange(1)), "one person a record"),
        (lambda r: ranked(np.ones((2, 2))), "one row of numbers"),
        (lambda r: units_of(2, np.arange(3)), "one person a row"),
    ],
)
def test_impossible_input(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(np.random.default_rng(0))
