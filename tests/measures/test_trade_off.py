"""Trade-off curves of promises, and the test of a promise on its own curve."""

import math

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.special import ndtr, ndtri

from safelight.errors import InputError
from safelight.measures.one_run import gdp_rejected
from safelight.measures.trade_off import DpSgd, curve_rejected, epsilon_delta_curve, group_of, tpr_bound


def gaussian(mu):
    return lambda x: float(ndtr(ndtri(1 - x) - mu)) if 0 < x < 1 else float(x <= 0)


@pytest.mark.parametrize("mu", [0.2, 1.0, 2.5])
@pytest.mark.parametrize(("guesses", "correct"), [(20, 20), (100, 59), (100, 75), (60, 60)])
def test_with_a_gaussian_curve_it_is_the_gaussian_test(mu, guesses, correct):
    for candidates in (2, 5):
        expected = gdp_rejected(mu, 100, guesses, correct, candidates, 0.05)
        assert curve_rejected(gaussian(mu), 100, guesses, correct, candidates, 0.05) == expected


def test_the_curve_of_epsilon_and_delta_is_the_textbooks():
    curve = epsilon_delta_curve(1.0, 0.01)
    for x in np.linspace(0, 1, 21):
        expected = max(0, 1 - 0.01 - math.e * x, (1 - 0.01 - x) / math.e)
        assert curve(x) == pytest.approx(expected)
    assert tpr_bound(epsilon_delta_curve(0.0, 0.0), 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("mechanism", "epsilon", "bounds"),
    [
        (DpSgd(1.0, 0.01, 1000), 1.828, (0.0040, 0.0291, 0.0627, 0.1942, 0.6586)),
        (DpSgd(2.0, 0.01, 1000), 0.622, (0.0018, 0.0156, 0.0368, 0.1332, 0.5668)),
        (DpSgd(1.0, 0.05, 500), 7.524, (0.0521, 0.1854, 0.2931, 0.5420, 0.9180)),
        (DpSgd(1.0, 1.0, 1), 4.377, (0.0183, 0.0924, 0.1685, 0.3891, 0.8413)),
    ],
)
def test_the_curve_of_dp_sgd_reaches_the_known_figures(mechanism, epsilon, bounds):
    assert mechanism.epsilon(1e-5) == pytest.approx(epsilon, abs=6e-4)
    curve = mechanism.curve()
    for fpr, bound in zip((0.001, 0.01, 1 / 40, 0.1, 0.5), bounds):
        assert tpr_bound(curve, fpr) == pytest.approx(bound, abs=2e-4)


@pytest.mark.parametrize("training", [DpSgd(0.5, 0.1, 1), DpSgd(1.0, 0.3, 1), DpSgd(3.0, 0.02, 1), DpSgd(0.9, 1.0, 1)])
def test_the_curve_of_one_step_is_the_hull_of_its_two_tests(training):
    """Literally: thresholds counted both ways, hull of all points, chords between them; and the accountant's curve."""
    z = np.linspace(-9, 14, 4001) * training.sigma
    alarms = ndtr(-z / training.sigma)
    found = (1 - training.sampling) * alarms + training.sampling * ndtr((1 - z) / training.sigma)
    points = np.concatenate([np.column_stack([alarms, 1 - found]), np.column_stack([1 - found, alarms])])
    corners = points[ConvexHull(points).vertices]
    below = corners[corners.sum(axis=1) <= 1 + 1e-12]
    below = below[np.argsort(below[:, 0])]
    curve, accountant = training.step_curve(), training.curve()
    for x in (1e-4, 0.001, 0.03, 0.2, 0.4, 0.5, 0.6, 0.8, 0.97, 0.999):
        assert curve(x) == pytest.approx(np.interp(x, *below.T), abs=2e-5)
        assert curve(x) == pytest.approx(accountant(x), abs=2e-5)
        assert curve(curve(x)) == pytest.approx(x, abs=1e-9), "it counts both ways"
    assert (curve(0.0), curve(1.0)) == (1.0, 0.0)
    assert 0 < curve(1 - 1e-12) < 1e-12, "precise where few are accused"


def test_groups_change_together():
    assert group_of(1.0, 1e-5, 1) == (1.0, pytest.approx(1e-5))
    epsilon, delta = group_of(0.5, 1e-5, 3)
    assert epsilon == 1.5
    assert delta == pytest.approx(1e-5 * (1 + math.exp(0.5) + math.exp(1.0)))
    assert group_of(0.0, 0.01, 4) == (0.0, 0.04)


def test_a_true_promise_is_seldom_refuted_on_its_own_curve():
    """Randomised response at epsilon keeps (epsilon, 0)-DP exactly: whoever guesses its answers is right that often."""
    rng = np.random.default_rng(0)
    for epsilon in (1.0, 3.0):
        curve, right = epsilon_delta_curve(epsilon, 0.0), 1 / (1 + math.exp(-epsilon))
        refuted = [curve_rejected(curve, 300, 300, int(rng.binomial(300, right)), 2, 0.05) for _ in range(400)]
        assert np.mean(refuted) <= 0.08
        assert curve_rejected(epsilon_delta_curve(epsilon / 2, 0.0), 300, 300, round(300 * right), 2, 0.05)


def test_impossible_promises_are_said():
    for arguments, message in (((-1.0, 0.0), "epsilon"), ((math.inf, 0.0), "epsilon"), ((1.0, 1.0), "delta")):
        with pytest.raises(InputError, match=message):
            epsilon_delta_curve(*arguments)
    with pytest.raises(InputError, match="noise 0"):
        DpSgd(0.0, 0.1, 10)
    with pytest.raises(InputError, match="at least 1 record"):
        group_of(1.0, 0.0, 0)
