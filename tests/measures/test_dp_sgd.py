"""The noise that counts refute, and the epsilon that it stands for."""

import pytest

from safelight.errors import InputError
from safelight.measures.dp_sgd import FINE, epsilon_of_training, least_refuted
from safelight.measures.one_run import mu_one_run
from safelight.measures.trade_off import DpSgd, curve_rejected


@pytest.mark.parametrize(("right", "each_step"), [(620, False), (700, False), (620, True), (790, True)])
def test_it_is_the_least_noise_on_the_grid_that_is_refuted(right, each_step):
    """Literally: one grid step less noise is no longer refuted, and the claim has no say in it but its grid."""
    claimed = DpSgd(1.5, 0.2, 30)
    least = least_refuted(claimed, 1000, 800, right, 0.05, each_step)

    def refuted(training):
        curve = training.step_curve() if each_step else training.curve()
        return curve_rejected(curve, 1000, 800, right, 2, 0.05)

    assert refuted(least)
    assert not refuted(least.with_noise(least.sigma / FINE))
    other = least_refuted(DpSgd(0.9, 0.2, 30), 1000, 800, right, 0.05, each_step)
    assert other.sigma == pytest.approx(least.sigma, rel=FINE - 1)


def test_one_step_with_every_record_is_the_gaussian_bound():
    for right in (600, 700, 790):
        least = least_refuted(DpSgd(1.0, 1.0, 1), 1000, 800, right, 0.05, each_step=True)
        assert 1 / least.sigma == pytest.approx(mu_one_run(1000, 800, right), rel=FINE - 1 + 1e-6)


def test_the_epsilon_is_that_of_the_whole_training():
    claimed = DpSgd(1.5, 0.2, 30)
    least = least_refuted(claimed, 1000, 800, 700, 0.05, each_step=True)
    assert epsilon_of_training(claimed, 1000, 800, 700, 1e-5, 0.05, each_step=True) == least.epsilon(1e-5)
    assert least.steps == 30
    assert epsilon_of_training(claimed, 1000, 800, 400, 1e-5) == 0.0, "half right is luck"
    assert epsilon_of_training(claimed, 10, 10, 6, 1e-5, each_step=True) == 0.0


def test_an_impossible_level_is_said():
    with pytest.raises(InputError, match="alpha must lie between 0 and 1"):
        least_refuted(DpSgd(1.0, 0.1, 10), 10, 10, 10, 1.0)
