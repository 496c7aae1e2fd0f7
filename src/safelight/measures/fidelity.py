"""How alike two models answer, and whether a copy that asked is more like the model than one that did not."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from scipy.stats import binom

from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.measures.binomial import binomial_p, check_confidence, check_counts, clopper_pearson


def fidelity(same: Array, confidence: float = 0.95, name: str = "fidelity") -> Measurement:
    """Return the share of records that copy and model give the same label (or scores), with its exact interval.

    It is the fidelity of Jagielski et al. 2020 (arXiv:1909.01838, section 3), and 1 minus the test error of
    Tramer et al. 2016 (arXiv:1609.02943, section 2).

    Args:
        same: (n,) bool.
        confidence: of the interval, in (0, 1).
    """
    low, high = clopper_pearson(int(same.sum()), len(same), confidence)
    return Measurement(name, float(same.mean()), low, high)


def score_distances(copy: Array, model: Array) -> Array:
    """Return the total variation distance in [0, 1] of two models' scores (n, classes) for each record (n,)."""
    return np.asarray(np.abs(copy - model).sum(axis=1) / 2)


def more_alike_p(copy: Array, other: Array) -> float:
    """Return the one-sided p that `copy` (n,) bool agrees with the model more often than `other` (n,) bool.

    McNemar's exact test: of the records on which just one of both agrees, each is the copy's with chance 1/2.

    Raises:
        InputError: the shapes differ.
    """
    if copy.shape != other.shape:
        raise InputError(f"Two copies are compared on the same records, and they have {copy.shape} and {other.shape}.")
    gained, lost = int((copy & ~other).sum()), int((other & ~copy).sum())
    return binomial_p(gained, gained + lost, 0.5)


def closing_power(agreed: int, n: int, closed: float, level: float) -> float:
    """Return the chance that McNemar's test finds a copy that closes a part of what another one leaves open.

    The other copy agrees on `agreed` of `n` records; the one to be found misses (1 - closed) times as many, on
    records that have nothing to do with the other's misses.

    Args:
        closed: part of the misses that are closed, in (0, 1].
        level: of the one-sided test, in (0, 1).

    Raises:
        InputError: an argument is impossible.
    """
    check_counts(agreed, n)
    check_confidence(level)
    if not 0 < closed <= 1:
        raise InputError(f"closed is a part of the misses in (0, 1], and it is {closed}.")
    if agreed == n:
        return 0.0
    other = agreed / n
    copy = 1 - (1 - closed) * (1 - other)
    gain, loss = copy * (1 - other), other * (1 - copy)
    pairs = np.arange(n + 1)
    # The smallest number of gains that is significant among so many pairs; one more than all where there is none.
    least = binom.isf(level, pairs, 0.5) + 1
    found = np.where(least > pairs, 0.0, binom.sf(least - 1, pairs, gain / (gain + loss)))
    return float(binom.pmf(pairs, n, gain + loss) @ found)
