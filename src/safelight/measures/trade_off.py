"""What a promise of differential privacy allows: its trade-off curve, and whether one run of coins breaks it.

A trade-off curve f gives, for each false-positive rate, the least false-negative rate of any attacker (Dong, Roth and
Su 2019, arXiv:1905.02383, definition 2.1). Curves here are symmetric: the adjacency counts both ways.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from safelight.errors import InputError, MissingExtra
from safelight.measures.one_run import check_guesses

Curve = Callable[[float], float]
"""Least false-negative rate at a false-positive rate; convex and falling from at most 1 to 0."""


def epsilon_delta_curve(epsilon: float, delta: float) -> Curve:
    """Return the curve of (epsilon, delta)-DP: max(0, 1 - delta - e^epsilon x, e^-epsilon (1 - delta - x)).

    Wasserman and Zhou 2010; arXiv:1905.02383, proposition 2.5.

    Raises:
        InputError: epsilon is negative or not finite, or delta is outside [0, 1).
    """
    if not 0.0 <= epsilon < math.inf:
        raise InputError(f"epsilon must be a number of at least 0, and it is {epsilon}.")
    if not 0.0 <= delta < 1.0:
        raise InputError(f"delta must be at least 0 and below 1, and it is {delta}.")
    steep = math.exp(min(epsilon, 700.0))

    def curve(x: float) -> float:
        return max(0.0, 1.0 - delta - steep * x, (1.0 - delta - x) / steep)

    return curve


@dataclass(frozen=True)
class DpSgd:
    """How a model was trained by DP-SGD with Poisson sampling.

    Attributes:
        sigma: noise multiplier: standard deviation of the noise over the clipping norm.
        sampling: chance that a record is in a batch, in (0, 1].
        steps: number of batches.
    """

    sigma: float
    sampling: float
    steps: int

    def __post_init__(self) -> None:
        if self.sigma <= 0 or not 0 < self.sampling <= 1 or self.steps < 1:
            raise InputError(
                f"DP-SGD with noise {self.sigma}, sampling rate {self.sampling} and {self.steps} steps cannot be: give "
                "noise above 0, a rate above 0 and at most 1, and at least 1 step."
            )

    def curve(self, replace: bool = False) -> Curve:
        """Return the curve of the whole training, by its privacy loss distribution (dp-accounting).

        The curve is the upper envelope of the (epsilon, delta(epsilon)) curves that the distribution gives.

        Args:
            replace: for neighbours that differ in one record's value; else one has a record more.

        Raises:
            MissingExtra: dp-accounting is not installed.
        """
        return _curve_of(self, replace)

    def step_curve(self) -> Curve:
        """Return the curve of a single step for neighbours of which one has a record more, in closed form.

        A step releases N(0, sigma^2) without the record and (1 - q) N(0, sigma^2) + q N(1, sigma^2) with it. Telling
        the second from the first gives f(x) = (1 - q)(1 - x) + q Phi(Phi^-1(1 - x) - 1 / sigma); counted both ways it
        is the convex hull of the lower of f and its inverse (arXiv:1905.02383, section 4.2): f down to its slope of
        -1, a straight line, and the inverse of f.
        """
        q, mu = self.sampling, 1.0 / self.sigma
        left = float(ndtr(-mu / 2.0))  # where the slope is -1
        right = float((1.0 - q) * ndtr(mu / 2.0) + q * ndtr(-mu / 2.0))

        def found(z: float) -> float:
            return float((1.0 - q) * ndtr(-z) + q * ndtr(mu - z))

        def curve(x: float) -> float:
            if not 0.0 < x < 1.0:
                return float(x <= 0.0)
            if x <= left:
                return 1.0 - found(-float(ndtri(x)))
            if x <= right:
                return left + right - x
            return float(ndtr(-brentq(lambda z: found(z) - (1.0 - x), mu / 2.0, mu + 40.0, xtol=1e-12)))

        return curve

    def with_noise(self, sigma: float) -> DpSgd:
        """Return the same training with other noise."""
        return replace(self, sigma=sigma)

    def epsilon(self, delta: float, replace: bool = False) -> float:
        """Return the epsilon at `delta` that this training promises."""
        return float(self._loss(replace).get_epsilon_for_delta(delta))

    def epsilon_rdp(self, delta: float) -> float:
        """Return an epsilon at `delta` by Renyi divergences, for neighbours of which one has a record more.

        It is what most tools print, and never below the epsilon of the loss distribution but for rounding (Mironov,
        Talwar and Zhang 2019, arXiv:1908.10530).
        """
        try:
            from dp_accounting import dp_event
            from dp_accounting.rdp import RdpAccountant
        except ImportError:
            raise MissingExtra("dp-accounting", "dp", "The epsilon of DP-SGD") from None
        step = dp_event.PoissonSampledDpEvent(self.sampling, dp_event.GaussianDpEvent(self.sigma))
        log, quiet = logging.getLogger("absl"), lambda record: False
        log.addFilter(quiet)  # it tells of each Renyi order that it leaves out, which costs tightness alone
        try:
            whole = RdpAccountant().compose(dp_event.SelfComposedDpEvent(step, self.steps))
        finally:
            log.removeFilter(quiet)
        return float(whole.get_epsilon(delta))

    def _loss(self, replace: bool) -> Any:
        try:
            from dp_accounting import NeighboringRelation
            from dp_accounting.pld import privacy_loss_distribution as pld
        except ImportError:
            raise MissingExtra("dp-accounting", "dp", "The curve of DP-SGD") from None
        relation = NeighboringRelation.REPLACE_ONE if replace else NeighboringRelation.ADD_OR_REMOVE_ONE
        # As fine as one step's loss needs: epsilon rises by less than 1e-3 and a curve takes a tenth of the time.
        grid = min(3e-3, max(1e-4, self.sampling / (30.0 * self.sigma)))
        step = pld.from_gaussian_mechanism(
            self.sigma, sampling_prob=self.sampling, value_discretization_interval=grid, neighboring_relation=relation
        )
        return step.self_compose(self.steps)


@lru_cache(maxsize=64)
def _curve_of(training: DpSgd, replace: bool) -> Curve:
    """Return the curve of a whole training; kept, since it takes up to seconds."""
    loss = training._loss(replace)
    top = max(1.0, float(loss.get_epsilon_for_delta(1e-12)))
    grid = np.linspace(0.0, top, 4000)
    deltas = np.array(loss.get_delta_for_epsilon(grid))
    steep = np.exp(np.minimum(grid, 700.0))

    def curve(x: float) -> float:
        return float(max(0.0, (1 - deltas - steep * x).max(), ((1 - deltas - x) / steep).max()))

    return curve


def group_of(epsilon: float, delta: float, size: int) -> tuple[float, float]:
    """Return the promise (epsilon, delta) for `size` records that change together.

    It is (n epsilon, delta (e^(n epsilon) - 1) / (e^epsilon - 1)) for n records (Vadhan 2017, The complexity of
    differential privacy, lemma 2.2). Replacing one record is removing and adding one.
    """
    if size < 1:
        raise InputError(f"A group holds at least 1 record, and this one holds {size}.")
    if epsilon == 0.0:
        return 0.0, min(1.0, size * delta)
    grown = delta * math.expm1(min(size * epsilon, 700.0)) / math.expm1(min(epsilon, 700.0))
    return size * epsilon, min(grown, 1.0)


def tpr_bound(curve: Curve, fpr: float) -> float:
    """Return the largest true-positive rate at `fpr` that the promise allows.

    It is also the largest chance to rebuild a secret that is guessed with chance `fpr` without the model
    (reconstruction robustness, arXiv:2302.07225).
    """
    return 1.0 - curve(fpr)


def curve_rejected(curve: Curve, coins: int, guesses: int, correct: int, candidates: int, alpha: float) -> bool:
    """Tell whether a promise is refuted at level `alpha` by one run of coins.

    The recursion of `gdp_rejected` (Mahloujifar et al. 2025, arXiv:2410.22235) for any symmetric curve: whoever is
    right on a share r of the coins is wrong on at least (k - 1) f(1 - r).

    Args:
        curve: of the promise, in the adjacency of the coins.
        coins, guesses, correct, candidates: as for `gdp_rejected`.
        alpha: level, in (0, 1).
    """
    check_guesses(coins, guesses, correct, candidates, 0.0)
    if correct == 0:
        return False
    share = guesses / coins
    right, wrong = alpha * correct / coins, alpha * (guesses - correct) / coins
    for i in range(correct - 1, -1, -1):
        if right >= 1.0 or right + wrong > share:
            break
        grown = (candidates - 1) * curve(1.0 - right)
        if grown <= wrong:
            break
        right = min(1.0, right + i / (guesses - i) * (grown - wrong))
        wrong = grown
    return right + wrong > share
