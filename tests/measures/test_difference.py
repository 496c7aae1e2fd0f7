from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap

from safelight.errors import InputError
from safelight.measures.difference import mean_difference


def test_few_persons_are_flipped_in_every_way() -> None:
    rng = np.random.default_rng(0)
    gap, person = rng.normal(0.4, 1, 20), np.arange(20) % 7
    sums = np.bincount(person, weights=gap)
    literal = np.mean([np.dot(signs, sums) >= sums.sum() - 1e-12 for signs in product([1, -1], repeat=7)])
    assert mean_difference(gap, np.zeros(20), rng, person).p == literal


def test_many_flips_agree_with_every_way() -> None:
    gap = np.random.default_rng(1).normal(0.3, 1, 12)
    literal = np.mean([np.dot(signs, gap) >= gap.sum() - 1e-12 for signs in product([1, -1], repeat=12)])
    p = mean_difference(gap, np.zeros(12), np.random.default_rng(2), flips=4000).p
    assert p == pytest.approx(literal, abs=4 * np.sqrt(literal * (1 - literal) / 4000))


def test_interval_is_scipys_bca_for_single_rows() -> None:
    # Few and skew, so that both of BCa's corrections move the ends by more than the tolerance.
    gap = np.array([0.1, 0.2, 0.2, 0.3, 0.5, 0.7, 1.1, 9.0])
    ours = mean_difference(gap, np.zeros(8), np.random.default_rng(3), draws=60_000).measurement
    theirs = bootstrap((gap,), np.mean, n_resamples=60_000, method="BCa", rng=np.random.default_rng(0))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), rel=0.015)
    assert ours.value == pytest.approx(gap.mean())
    assert (ours.name, ours.control, ours.floor) == ("leak_z", 0.0, None)


def test_planted_difference_is_covered_and_the_level_holds() -> None:
    rng, covered, by_row, alarms = np.random.default_rng(4), 0, 0, 0
    person = np.repeat(np.arange(25), 4)
    for _ in range(300):
        noise = np.repeat(rng.standard_normal(25), 4) + 0.3 * rng.standard_normal(100)
        tested = mean_difference(noise + 0.5, np.zeros(100), rng, person, draws=300, flips=99)
        covered += tested.measurement.low <= 0.5 <= tested.measurement.high
        alarms += mean_difference(noise, np.zeros(100), rng, person, draws=2, flips=99).p <= 0.05
        by_row += mean_difference(noise, np.zeros(100), rng, draws=2, flips=99).p <= 0.05
    assert 0.88 <= covered / 300 <= 0.99
    assert alarms / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert by_row / 300 > 0.1


def test_ends() -> None:
    rng = np.random.default_rng(0)
    one = mean_difference(np.array([1.0, 2.0]), np.zeros(2), rng, np.array(["a", "a"]))
    assert (one.measurement.value, one.measurement.low, one.measurement.high, one.p) == (1.5, None, None, 0.5)
    same = mean_difference(np.full(30, 2.0), np.full(30, 2.0), rng)
    assert (same.measurement.value, same.measurement.low, same.measurement.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    certain = mean_difference(np.full(30, 2.0), np.zeros(30), rng, flips=999)
    assert certain.p == 0.001
    wild = mean_difference(np.array([0.0, 0.0, 0.0, 1e9]), np.zeros(4), rng).measurement
    assert 0.0 <= wild.low <= wild.value <= wild.high <= 1e9


@pytest.mark.parametrize(
    ("target", "control", "words"),
    [
        (np.ones(3), np.ones(2), r"shapes \(3,\) and \(2,\)"),
        (np.array([]), np.array([]), "must pair up"),
        (np.array([1.0, np.inf]), np.ones(2), "1 of 2 differences are not finite"),
    ],
)
def test_impossible_input(target: np.ndarray, control: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        mean_difference(target, control, np.random.default_rng(0))
