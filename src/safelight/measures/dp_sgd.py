"""Lower bounds on what a training by DP-SGD really promises: the noise that right guesses refute, turned into epsilon.

The claimed sampling rate and number of steps are kept and the noise is asked for: every training of that family with
as much noise as the one found, or more, is refuted. Its accountant turns the noise into an epsilon for the whole run
(Nasr et al. 2023, arXiv:2302.07956, section 5.1, there for one canary with Clopper-Pearson limits).
"""

from __future__ import annotations

from safelight.errors import InputError
from safelight.measures.trade_off import DpSgd, curve_rejected

FINE = 1.02
"""Noise is told apart in steps of 2 %."""

_FAR, _STRIDE = 250, 4  # steps either way (140 times less or more noise), and between two of the first tries


def least_refuted(
    claimed: DpSgd, coins: int, guesses: int, right: int, alpha: float = 0.05, each_step: bool = False
) -> DpSgd | None:
    """Return the training with the least noise that the counts refute, or None where they refute none.

    Args:
        claimed: the training as it is claimed; the one returned differs in its noise alone.
        coins: in-or-out coins.
        guesses: how many of them were guessed, fixed beforehand.
        right: how many guesses were right.
        alpha: level, in (0, 1).
        each_step: the coins were flipped anew at each step, so that one decides about a single step; else about the
            whole training.

    Raises:
        InputError: alpha or the counts are impossible.
        MissingExtra: dp-accounting is not installed and the coins decide about the whole training.
    """
    if not 0.0 < alpha < 1.0:
        raise InputError(f"alpha must lie between 0 and 1, such as 0.05, and it is {alpha}.")

    def refuted(step: int) -> bool:
        training = claimed.with_noise(claimed.sigma * FINE**step)
        curve = training.step_curve() if each_step else training.curve()
        return curve_rejected(curve, coins, guesses, right, 2, alpha)

    if 2 * right <= guesses:
        return None
    # From the claim outwards, in strides that grow slowly: with little noise a curve takes long.
    low, high, stride = 0, 0, _STRIDE
    if refuted(0):
        while low > -_FAR and refuted(low - stride):
            low, stride = low - stride, stride + _STRIDE
        high, low = low, low - stride
    else:
        while high < _FAR and not refuted(high + stride):
            high, stride = high + stride, stride + _STRIDE
        if high >= _FAR:
            return None
        low, high = high, high + stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refuted(middle) else (middle, high)
    return claimed.with_noise(claimed.sigma * FINE**high)


def epsilon_of_training(
    claimed: DpSgd, coins: int, guesses: int, right: int, delta: float, alpha: float = 0.05, each_step: bool = False
) -> float:
    """Return the epsilon at `delta` of the whole training with the least noise that the counts refute.

    It holds for trainings of the claimed family; arguments and errors as for `least_refuted`.

    Returns:
        epsilon in nats, 0 where nothing is refuted.
    """
    refuted = least_refuted(claimed, coins, guesses, right, alpha, each_step)
    return 0.0 if refuted is None else refuted.epsilon(delta)
