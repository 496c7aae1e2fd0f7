"""Gaussian differential privacy: mu on one side, the (epsilon, delta) curve on the other.

A mechanism is mu-GDP when telling its outputs on two neighbouring data sets apart is at least as hard as telling one
draw of N(0, 1) from one of N(mu, 1) (Dong, Roth and Su 2019, arXiv:1905.02383, definition 2.6 and corollary 2.13).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import erfcx, log_ndtr, ndtr, ndtri

from safelight.errors import InputError

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_PRECISE = {"xtol": 1e-300, "rtol": 8.9e-16, "maxiter": 500}


def delta_of_mu(mu: float, epsilon: float) -> float:
    """Return the smallest delta for which mu-GDP implies (epsilon, delta)-DP.

    With x = epsilon / mu - mu / 2 it is Phi(-x) - exp(epsilon) Phi(-x - mu) (arXiv:1905.02383, corollary 2.13).

    Args:
        mu: at least 0; may be infinite.
        epsilon: at least 0, in nats.

    Returns:
        delta in [0, 1].

    Raises:
        InputError: mu or epsilon is negative or not a number.
    """
    _check("mu", mu)
    _check("epsilon", epsilon)
    return math.exp(_log_delta(mu, epsilon))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """Return the smallest epsilon for which mu-GDP implies (epsilon, delta)-DP.

    Args:
        mu: at least 0; may be infinite.
        delta: in [0, 1].

    Returns:
        epsilon in nats, at least 0; infinite where no epsilon will do (delta = 0 and mu > 0).

    Raises:
        InputError: mu is negative, or delta is outside [0, 1].
    """
    _check("mu", mu)
    _check("delta", delta, 1.0)
    # delta(0) = 2 Phi(mu / 2) - 1 is at most mu / sqrt(2 pi): said here, where a tiny mu would underflow below.
    if delta == 1.0 or mu / math.sqrt(2.0 * math.pi) <= delta:
        return 0.0
    if delta == 0.0 or math.isinf(mu):
        return math.inf
    wanted = math.log(delta)
    if _log_delta(mu, 0.0) <= wanted:
        return 0.0
    # delta <= Phi(-x) <= exp(-x^2 / 2), so this x is far enough out.
    top = mu * (math.sqrt(-2.0 * wanted) + 1.0) + mu * mu / 2.0
    return float(brentq(lambda epsilon: _log_delta(mu, epsilon) - wanted, 0.0, top, **_PRECISE))


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """Return the mu whose own curve passes through (epsilon, delta): the inverse of `epsilon_of_mu`.

    It is no bound: an (epsilon, delta) claim implies no finite mu. Use it to show numbers on one axis only.

    Args:
        epsilon: at least 0, in nats.
        delta: in [0, 1].

    Returns:
        mu, at least 0; infinite when epsilon is infinite or delta is 1, and 0 when delta is 0.

    Raises:
        InputError: epsilon is negative, or delta is outside [0, 1].
    """
    _check("epsilon", epsilon)
    _check("delta", delta, 1.0)
    if delta == 0.0:
        return 0.0
    if delta == 1.0 or math.isinf(epsilon):
        return math.inf
    if epsilon == 0.0:
        # delta = 2 Phi(mu / 2) - 1; the second form keeps digits for small delta.
        return float(2.0 * ndtri(0.5 + delta / 2.0)) if delta > 1e-3 else _solve_mu(0.0, delta)
    return _solve_mu(epsilon, delta)


def _solve_mu(epsilon: float, delta: float) -> float:
    wanted = math.log(delta)
    low, high = 1.0, 1.0
    while _log_delta(high, epsilon) < wanted:
        high *= 2.0
    while low > 1e-300 and _log_delta(low, epsilon) > wanted:
        low /= 2.0
    return float(brentq(lambda mu: _log_delta(mu, epsilon) - wanted, low, high, **_PRECISE)) if low < high else low


def _log_delta(mu: float, epsilon: float) -> float:
    """Return log delta without cancellation.

    With R(t) = Phi(-t) / phi(t), delta = phi(x) (R(x) - R(x + mu)), and R'(t) = t R(t) - 1 gives the difference as an
    integral for small mu.
    """
    if mu == 0.0 or math.isinf(epsilon):
        return -math.inf
    if math.isinf(mu):
        return 0.0
    x = epsilon / mu - mu / 2.0
    if math.isinf(x):
        return -math.inf
    log_phi = -0.5 * x * x - 0.5 * math.log(2.0 * math.pi)
    if mu < 1.0:
        nodes = x + mu * (_NODES + 1.0) / 2.0
        gap = mu / 2.0 * float(_WEIGHTS @ _one_less(nodes))
        return log_phi + math.log(gap)
    if x >= 0.0:
        return log_phi + math.log(_mills(x) - _mills(x + mu))
    both = math.exp(epsilon + float(log_ndtr(-x - mu)))
    return math.log(float(ndtr(-x)) - both)


def _mills(t: float) -> float:
    return math.sqrt(math.pi / 2.0) * float(erfcx(t / math.sqrt(2.0)))


def _one_less(t: np.ndarray) -> np.ndarray:
    """Return 1 - t R(t); by its series where the two terms nearly cancel."""
    far = np.maximum(t, 30.0) ** -2.0
    series = far * (1.0 - far * (3.0 - far * (15.0 - far * (105.0 - far * 945.0))))
    near = 1.0 - t * math.sqrt(math.pi / 2.0) * erfcx(t / math.sqrt(2.0))
    return np.where(t > 30.0, series, near)


def _check(name: str, value: float, most: float = math.inf) -> None:
    if not 0.0 <= value <= most:
        raise InputError(f"{name} must be at least 0{'' if most == math.inf else ' and at most 1'}, and it is {value}.")
