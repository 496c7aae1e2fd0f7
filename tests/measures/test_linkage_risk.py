"""The risk of a release: Wilson's interval, the published formula, exact tests, and groups of another size."""

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact, norm

from safelight.errors import InputError
from safelight.measures.linkage_risk import isolated_share, linkage_risk, more_often_p, success_rate


def test_the_rate_solves_wilsons_quadratic():
    z = norm.ppf(0.975)
    for right, attempts in ((0, 10), (7, 10), (193, 200), (200, 200)):
        centre, half = success_rate(right, attempts)
        for end in (centre - half, centre + half):  # (p^ - p)^2 = z^2 p (1 - p) / n
            assert (right / attempts - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / attempts, abs=1e-12)
    with pytest.raises(InputError, match="11 of 10 attempts cannot have succeeded"):
        success_rate(11, 10)


def test_the_risk_of_the_published_formula():
    risk = linkage_risk((150, 200), (20, 200))
    z2 = norm.ppf(0.975) ** 2
    main, control = (150 + z2 / 2) / (200 + z2), (20 + z2 / 2) / (200 + z2)
    assert risk.value == pytest.approx((main - control) / (1 - control))
    assert 0.64 < risk.low < risk.value < risk.high < 0.79
    below = linkage_risk((20, 200), (60, 200))
    assert below.value == below.low == 0


@pytest.mark.parametrize("true", [0.0, 0.3, 0.8])
def test_a_known_risk_lies_in_its_interval(true):
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        luck = 0.1
        main, control = rng.binomial(200, luck + true * (1 - luck)), rng.binomial(200, luck)
        risk = linkage_risk((main, 200), (control, 200))
        held += risk.low <= true <= risk.high
    assert binom.cdf(held, 300, 0.95) > 0.001


def test_the_exact_test_is_fishers():
    for main, other in (((9, 12), (3, 15)), ((2, 10), (5, 9)), ((0, 4), (0, 4))):
        table = [[main[0], main[1] - main[0]], [other[0], other[1] - other[0]]]
        assert more_often_p(main, other) == pytest.approx(fisher_exact(table, "greater")[1])


def test_a_larger_group_is_read_by_drawing_from_it():
    rng = np.random.default_rng(0)
    everyone = rng.random((300, 90)) < rng.choice([0.005, 0.02, 0.3], (300, 1))
    drawn = [(everyone[:, rng.permutation(90)[:40]].sum(axis=1) == 1).mean() for _ in range(400)]
    assert isolated_share(everyone.sum(axis=1), 90, 40) == pytest.approx(np.mean(drawn), abs=0.005)
    assert isolated_share(everyone.sum(axis=1), 90, 90) == (everyone.sum(axis=1) == 1).mean()
    assert isolated_share(np.array([], dtype=int), 90, 40) == 0


@pytest.mark.parametrize("rare", [0.002, 0.01])
def test_a_smaller_group_is_read_by_the_fitted_mixture(rare):
    """The truth is known here: how often each condition holds is drawn, and so is the larger group."""
    rng = np.random.default_rng(1)
    found, truth, naive = [], [], []
    for _ in range(20):
        chance = rng.choice([0.0, rare, 0.2], 500)
        small = rng.binomial(140, chance)
        found.append(isolated_share(small, 140, 280))
        naive.append((small == 1).mean())
        truth.append((280 * chance * (1 - chance) ** 279).mean())
    missed = abs(np.mean(found) - np.mean(truth))
    assert missed < 0.02
    assert missed < abs(np.mean(naive) - np.mean(truth)) / 3
