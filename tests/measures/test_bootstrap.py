from __future__ import annotations

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.binomial import clopper_pearson
from safelight.measures.bootstrap import binomial_limits, percentile_interval, units_of


def test_whole_persons_are_drawn_and_sides_are_kept() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "d", "e", "e"])
    member = np.array([1, 1, 1, 0, 0, 0, 1, 0], dtype=bool)
    units = units_of(8, groups, member)
    assert sorted(len(pool) for pool in units.pools) == [1, 2, 2]
    weights = np.concatenate(list(units.weights(200, np.random.default_rng(0))))
    assert weights.shape == (200, 8)
    assert np.array_equal(weights[:, 0], weights[:, 1])
    assert np.array_equal(weights[:, 3], weights[:, 4])
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 3] + weights[:, 5] == 2).all()
    assert (weights[:, 6:] == 1).all()


def test_weights_come_in_turns_and_by_seed() -> None:
    units = units_of(100_000)
    turns = [w.shape for w in units.weights(45, np.random.default_rng(0))]
    assert turns == [(20, 100_000), (20, 100_000), (5, 100_000)]
    first, again = (next(units.weights(1, np.random.default_rng(7))) for _ in range(2))
    assert np.array_equal(first, again)
    assert first.sum() == 100_000


def test_mean_of_a_normal_is_covered() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        x = rng.standard_normal(60)
        low, high = percentile_interval(lambda w, x=x: w @ x / w.sum(axis=1), units_of(60), rng, 300, 0.9)
        covered += low <= 0.0 <= high
    assert 0.80 < covered / 200 < 0.97


def test_persons_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(30), 20)
    x = np.repeat(rng.standard_normal(30), 20)

    def width(groups: np.ndarray | None) -> float:
        low, high = percentile_interval(lambda w: w @ x / w.sum(axis=1), units_of(600, groups), rng, 400, 0.95)
        return float(high - low)

    assert width(person) > 3 * width(None)


def test_draws_without_a_value_are_left_out() -> None:
    def sometimes(weights: np.ndarray) -> np.ndarray:
        known = np.where(weights[:, 0] > 0, 3.0, np.nan)
        return np.stack([known, np.full(len(weights), np.nan)], axis=1)

    low, high = percentile_interval(sometimes, units_of(5), np.random.default_rng(0), 100, 0.95)
    assert low[0] == high[0] == 3.0
    assert np.isnan(low[1])
    assert np.isnan(high[1])


def test_binomial_limits_are_clopper_pearson_for_whole_counts() -> None:
    for correct in (0, 3, 10):
        low, high = binomial_limits(correct / 10, 10, 0.95)
        assert (float(low), float(high)) == pytest.approx(clopper_pearson(correct, 10))


def test_groups_of_the_wrong_size() -> None:
    with pytest.raises(InputError, match=r"one person a row: 3 rows, and groups of shape \(2,\)"):
        units_of(3, np.array([1, 2]))
