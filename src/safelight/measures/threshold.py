"""A threshold taken from the nonmembers' own scores, and how many members pass it by luck."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from scipy.special import betaln

from safelight.measures.binomial import SMALLEST_P


def allowed(fpr: float, nonmembers: int) -> int:
    """Return r = floor(fpr * nonmembers), how many nonmembers may lie above the threshold."""
    # 0.29 * 100 is a hair below 29.
    return math.floor(fpr * nonmembers * (1.0 + 1e-12) + 1e-12)


def above_threshold_p(count: Array | int, members: int, r: int, nonmembers: int) -> Array:
    """Return the chance that at least `count` members lie above the (r + 1)-th highest nonmember by luck.

    When all scores are exchangeable, that number is BetaBinomial(members, r + 1, nonmembers - r). A Clopper-Pearson
    interval would take the threshold as fixed, and raise false alarms.

    Args:
        count: integers, 0 to `members`, any shape.
        members: at least 1.
        r: 0 to `nonmembers` - 1.
        nonmembers: at least 1.

    Returns:
        p in (0, 1], same shape as `count`.
    """
    j = np.arange(members + 1.0)
    log_mass = (
        betaln(j + r + 1.0, members - j + nonmembers - r)
        - betaln(r + 1.0, nonmembers - r)
        - betaln(j + 1.0, members - j + 1.0)
        - math.log(members + 1.0)
    )
    tails = np.cumsum(np.exp(log_mass)[::-1])[::-1]
    return np.clip(tails / tails[0], SMALLEST_P, 1.0)[np.asarray(count)]
