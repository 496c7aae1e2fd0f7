"""The chance of membership: right on average where it is known, never 0 or 1, and one half where nothing leaks."""

import numpy as np
import pytest
from scipy.stats import norm

from safelight.measures.calibration import calibrated


def drawn(shift, seed, targets=8, n=1500, share=0.5):
    rng = np.random.default_rng(seed)
    member = rng.random(targets * n) < share
    return rng.normal(size=targets * n) + shift * member, member, np.repeat(np.arange(targets), n)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_it_learns_the_posterior_of_two_gaussians(share):
    learnt = calibrated(*drawn(2.0, 0, share=share))
    at = np.linspace(-0.5, 2.5, 13)
    true = norm.pdf(at, 2) / (norm.pdf(at, 2) + norm.pdf(at))
    assert np.abs(learnt(at) - true).max() < 0.06
    assert learnt.error < 0.03


def test_without_a_leak_the_chance_stays_near_one_half():
    learnt = calibrated(*drawn(0.0, 1))
    scores, _, _ = drawn(0.0, 2, targets=1)
    assert np.abs(learnt(scores) - 0.5).mean() < 0.04


def test_no_finite_number_of_targets_makes_sure():
    scores, member, target = drawn(9.0, 3, n=200)
    chance = calibrated(scores, member, target)(np.array([-100.0, 100.0]))
    assert 0 < chance[0] < 0.01
    assert 0.99 < chance[1] < 1


def test_the_error_shows_targets_that_differ():
    scores, member, target = drawn(2.0, 4)
    moved = scores + 3 * (target % 2)
    assert calibrated(moved, member, target).error > 5 * calibrated(scores, member, target).error
