"""The counterfactual difference: the same target attacked in the model and in a control that never saw it."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.special import ndtr, ndtri

from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.measures.binomial import check_confidence
from safelight.measures.bootstrap import group_codes, units_of
from safelight.measures.tested import Tested

_CELLS = 2_000_000


def mean_difference(
    target: Array,
    control: Array,
    rng: Generator,
    groups: Array | None = None,
    name: str = "leak_z",
    draws: int = 2000,
    flips: int = 9999,
    confidence: float = 0.95,
) -> Tested:
    """Return the mean of L = target - control with its interval, and the p against a mean of 0.

    The interval is a BCa bootstrap over persons (Efron 1987, JASA 82). The one-sided p flips the signs of whole
    persons, all 2^g ways where that is no more than `flips`; it asks that without a leak L is as likely -x as x.

    Args:
        target: (n,) success in the model, e.g. a standardised similarity.
        control: (n,) the same in the control model.
        rng: the source of the draws.
        groups: (n,) the person of each row; None when each row is its own.
        name: of the measurement.
        draws: number of bootstrap draws.
        flips: number of sign flips.
        confidence: of the interval, e.g. 0.95.

    Returns:
        the mean with its interval (None with a single person) and control 0, and p in (0, 1].

    Raises:
        InputError: shapes do not fit, there is no row, or a value is not finite.
    """
    check_confidence(confidence)
    target, control = np.asarray(target, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if target.ndim != 1 or target.shape != control.shape or not len(target):
        raise InputError(f"target and control must pair up, and they have shapes {target.shape} and {control.shape}.")
    gap = target - control
    if not np.isfinite(gap).all():
        raise InputError(
            f"{int(np.sum(~np.isfinite(gap)))} of {len(gap)} differences are not finite: drop those targets."
        )
    codes = group_codes(len(gap), groups)
    sums, sizes = np.bincount(codes, weights=gap), np.bincount(codes).astype(np.float64)
    value = float(sums.sum() / sizes.sum())
    low, high = _bca(sums, sizes, value, rng, draws, confidence) if len(sums) > 1 else (None, None)
    return Tested(Measurement(name, value, low, high, control=0.0), _sign_flip_p(sums, rng, flips))


def _bca(sums: Array, sizes: Array, value: float, rng: Generator, draws: int, confidence: float) -> tuple[float, float]:
    means = np.concatenate([(w @ sums) / (w @ sizes) for w in units_of(len(sums)).weights(draws, rng)])
    below = (np.sum(means < value) + 0.5 * np.sum(means == value)) / draws
    bias = float(ndtri(np.clip(below, 0.5 / draws, 1.0 - 0.5 / draws)))
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    pull = without.mean() - without
    spread = float(np.sum(pull**2))
    acceleration = float(np.sum(pull**3)) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    tail = check_confidence(confidence) / 2.0
    z = bias + ndtri(np.array([tail, 1.0 - tail]))
    # Past this pole the correction turns around; the outermost draw is the honest end.
    shrink = np.maximum(1.0 - acceleration * z, 1e-9)
    low, high = np.quantile(means, ndtr(bias + z / shrink))
    return float(low), float(high)


def _sign_flip_p(sums: Array, rng: Generator, flips: int) -> float:
    g = len(sums)
    least = sums.sum() - 1e-12 * np.abs(sums).sum()
    if g < 60 and 2**g <= flips + 1:
        signs = 1.0 - 2.0 * ((np.arange(2**g)[:, None] >> np.arange(g)) & 1)
        return float(np.mean(signs @ sums >= least))
    reached, turn = 0, max(1, _CELLS // g)
    for start in range(0, flips, turn):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (min(turn, flips - start), g))
        reached += int(np.sum(signs @ sums >= least))
    return (1 + reached) / (flips + 1)
