"""GDP conversion against its definition, in many digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from safelight.errors import InputError
from safelight.measures.gaussian_dp import delta_of_mu, epsilon_of_mu, mu_of_epsilon


def literal_delta(mu: float, epsilon: float) -> mpmath.mpf:
    with mpmath.workdps(60):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return mpmath.ncdf(-e / m + m / 2) - mpmath.exp(e) * mpmath.ncdf(-e / m - m / 2)


@pytest.mark.parametrize(("mu", "epsilon"), [(0.5, 1.9931), (1.0, 4.3772), (2.0, 9.9973), (3.0, 16.6755)])
def test_known_epsilons_at_1e_5(mu: float, epsilon: float) -> None:
    assert epsilon_of_mu(mu, 1e-5) == pytest.approx(epsilon, abs=5e-5)


@pytest.mark.parametrize(("mu", "epsilon"), [(1.0, 4.887), (2.0, 10.997), (4.0, 26.357)])
def test_known_epsilons_at_1e_6(mu: float, epsilon: float) -> None:
    assert epsilon_of_mu(mu, 1e-6) == pytest.approx(epsilon, abs=5e-4)


@pytest.mark.parametrize("mu", [1e-6, 1e-3, 0.1, 0.999, 1.0, 3.0, 10.0, 60.0])
@pytest.mark.parametrize("epsilon", [0.0, 1e-8, 1e-3, 0.7, 3.0, 50.0, 1000.0])
def test_delta_keeps_ten_digits_where_the_textbook_form_cancels(mu: float, epsilon: float) -> None:
    wanted = literal_delta(mu, epsilon)
    if wanted < 1e-300:
        assert delta_of_mu(mu, epsilon) < 1e-290
    else:
        assert delta_of_mu(mu, epsilon) == pytest.approx(float(wanted), rel=1e-10)


def test_delta_is_the_hockey_stick_divergence() -> None:
    def gap(z: float) -> float:
        return max(0.0, norm.pdf(z, 1.3) - math.exp(0.8) * norm.pdf(z))

    crossing = 0.8 / 1.3 + 1.3 / 2
    assert delta_of_mu(1.3, 0.8) == pytest.approx(quad(gap, crossing, 12.0)[0], rel=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 20.0), st.floats(-30.0, -0.01))
def test_epsilon_and_mu_are_inverse(mu: float, log_delta: float) -> None:
    delta = math.exp(log_delta)
    epsilon = epsilon_of_mu(mu, delta)
    if epsilon > 0.0:
        assert mu_of_epsilon(epsilon, delta) == pytest.approx(mu, rel=1e-7)
    else:
        assert mu_of_epsilon(0.0, delta) >= mu * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 20.0), st.floats(0.001, 5.0), st.floats(1e-12, 0.5))
def test_more_mu_is_more_epsilon(mu: float, more: float, delta: float) -> None:
    assert epsilon_of_mu(mu + more, delta) >= epsilon_of_mu(mu, delta)
    assert epsilon_of_mu(mu, delta / 2) >= epsilon_of_mu(mu, delta)


def test_the_ends() -> None:
    assert epsilon_of_mu(0.0, 0.0) == 0.0
    assert epsilon_of_mu(5e-324, 1e-5) == 0.0
    assert epsilon_of_mu(1.0, 0.0) == math.inf
    assert epsilon_of_mu(math.inf, 1e-5) == math.inf
    assert epsilon_of_mu(5.0, 1.0) == 0.0
    assert mu_of_epsilon(3.0, 0.0) == 0.0
    assert mu_of_epsilon(math.inf, 1e-5) == math.inf
    assert mu_of_epsilon(1.0, 1.0) == math.inf
    assert delta_of_mu(0.0, 0.0) == 0.0
    assert delta_of_mu(math.inf, 1.0) == 1.0
    for delta in (1e-12, 1e-4, 0.2, 0.9):
        assert mu_of_epsilon(0.0, delta) == pytest.approx(2 * norm.ppf(0.5 + delta / 2), rel=1e-3)
        assert delta_of_mu(mu_of_epsilon(0.0, delta), 0.0) == pytest.approx(delta, rel=1e-9)


@pytest.mark.parametrize(("mu", "delta"), [(-1.0, 0.1), (np.nan, 0.1), (1.0, 1.5), (1.0, -0.1)])
def test_impossible_arguments(mu: float, delta: float) -> None:
    with pytest.raises(InputError, match=r"must be at least 0"):
        epsilon_of_mu(mu, delta)
    with pytest.raises(InputError, match=r"must be at least 0"):
        mu_of_epsilon(mu, delta)
