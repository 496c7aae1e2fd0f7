"""What a defence with differential privacy promises, and how much noise a promise asks for."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from functools import lru_cache

from scipy.optimize import brentq

from safelight.errors import InputError
from safelight.measures.gaussian_dp import epsilon_of_mu
from safelight.measures.trade_off import DpSgd

MOST_NOISE = 1e4
"""Largest noise multiplier that is tried; with more of it nothing is learnt."""

LEAST_NOISE = 0.2
"""Smallest noise multiplier that is tried: its epsilon is so large that less noise buys nothing."""


@dataclass(frozen=True)
class Guarantee:
    """A promise of differential privacy with its figures.

    It holds for one training. A search over settings that looked at the private records is not counted in it.

    Attributes:
        epsilon: in nats, the smallest that the accounting gives.
        delta: in [0, 1).
        epsilon_rdp: the epsilon of the same training by Renyi divergences, which most tools print; None where the
            mechanism is not accounted so.
        sigma: standard deviation of the noise over the sensitivity; None where the noise is not Gaussian.
        rate: chance that a record is in a batch; None without batches.
        steps: noisy releases that were composed.
        unit: what is protected: one record, all records of a person are not.
        adjacency: "add-remove" (neighbours differ in a record more), or "replace" (in one record's value).
        how: one sentence: what was released and what the promise leans on.
    """

    epsilon: float
    delta: float
    epsilon_rdp: float | None = None
    sigma: float | None = None
    rate: float | None = None
    steps: int = 1
    unit: str = "record"
    adjacency: str = "add-remove"
    how: str = ""

    def __str__(self) -> str:
        rdp = "" if self.epsilon_rdp is None else f" ({self.epsilon_rdp:.4g} by RDP)"
        return f"epsilon {self.epsilon:.4g}{rdp} at delta {self.delta:g} a {self.unit}, {self.adjacency}"


def of_training(training: DpSgd, delta: float, how: str = "") -> Guarantee:
    """Return what DP-SGD promises: by its loss distribution, and by Renyi divergences beside it.

    With less noise than `LEAST_NOISE` the loss distribution is out of reach. The epsilon is then the smaller one of
    RDP and of mu-GDP with mu = sqrt(steps) / sigma, which leaves out that batches are drawn.
    """
    rdp = training.epsilon_rdp(delta)
    if training.sigma >= LEAST_NOISE:
        epsilon = min(training.epsilon(delta), rdp)
    else:
        epsilon = min(rdp, epsilon_of_mu(math.sqrt(training.steps) / training.sigma, delta))
    return Guarantee(epsilon, delta, rdp, training.sigma, training.sampling, training.steps, how=how)


@lru_cache(maxsize=256)
def noise_for(epsilon: float, delta: float, sampling: float, steps: int) -> float:
    """Return the least noise multiplier, to 0.1 %, with which this DP-SGD promises (epsilon, delta).

    The loss distribution decides (add-remove). Never below `LEAST_NOISE`.

    Raises:
        InputError: no noise up to `MOST_NOISE` is enough.
        MissingExtra: dp-accounting is not installed.
    """

    def over(log_sigma: float) -> float:
        found = DpSgd(math.exp(log_sigma), sampling, steps).epsilon(delta)
        return math.log(max(found, 1e-12) / epsilon)

    low, high = math.log(LEAST_NOISE), 0.0
    if over(low) <= 0:
        return LEAST_NOISE
    while over(high) > 0:
        low, high = high, high + 0.7
        if high > math.log(MOST_NOISE):
            raise InputError(
                f"epsilon {epsilon:g} at delta {delta:g} cannot be reached with {steps} steps at a sampling rate of "
                f"{sampling:.3g}: even noise of {MOST_NOISE:g} clipping norms is too little; take fewer epochs, "
                "smaller batches or a larger epsilon."
            )
    found = brentq(over, low, high, xtol=5e-4)
    while over(found) > 0:
        found += 5e-4
    return math.exp(found)


def noise_seed(seed: int, repeatable: bool) -> int:
    """Return what noise is drawn from: the training's own seed, or 63 bits of the operating system's randomness."""
    return seed if repeatable else secrets.randbits(63)


def check_delta(delta: float, n: int) -> None:
    """Raise InputError where delta is above 1/n: giving away one whole record in the open would keep such a promise."""
    if delta > 1.0 / n:
        raise InputError(
            f"delta is {delta:g}, more than one over the {n:,} records, so publishing a record in the open could keep "
            f"the promise; use at most {1.0 / n:.2g}, better a tenth of it."
        )
