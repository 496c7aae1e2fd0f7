"""One scale for all signals, and the line that normal clients keep below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

OVER_TIME = "over time"
"""Name of the evidence that adds up from reading to reading."""


@dataclass(frozen=True)
class Scale:
    """How much each signal must say to say as much as another.

    A reading of a signal is (score - middle) / spread, where middle is the median and spread the distance to the 99 %
    quantile of the largest scores that normal clients reach in a day. Evidence over time is a cumulative sum (CUSUM):
    at each reading the largest standardised score less `drift` is added, and it never falls below 0. A client rings
    when one of them exceeds `threshold`.

    Attributes:
        names: of the signals (s,), and "over time" last.
        middle, spread: (s + 1,).
        drift: of the cumulative sum.
        threshold: in units of the spreads.
        clients: normal clients (or groups of them) that the threshold was taken from.
        rate: share of normal clients (groups) that ring in a day, at the most; 1 / (clients + 1) where fewer is asked.
    """

    names: tuple[str, ...]
    middle: Array
    spread: Array
    drift: float
    threshold: float
    clients: int
    rate: float

    def read(self, scores: Array, evidence: float) -> tuple[Array, float]:
        """Return standardised readings (s + 1,) and the evidence after one more reading of scores (s,).

        A score that is NaN says nothing, and hides no other.
        """
        standard = np.empty(len(self.middle))
        standard[:-1] = np.nan_to_num((scores - self.middle[:-1]) / self.spread[:-1], posinf=1e6, neginf=-1e6)
        evidence = max(0.0, evidence + float(standard[:-1].max()) - self.drift)
        standard[-1] = (evidence - self.middle[-1]) / self.spread[-1]
        return standard, evidence


def fit_scale(
    names: Sequence[str],
    least: Array,
    relative: Array,
    first: Sequence[Array],
    second: Sequence[Array],
    alpha: float,
    headroom: float,
    beside: Scale | None = None,
) -> Scale:
    """Fit a scale to one half of normal clients, and its threshold to the other (split conformal prediction).

    If clients are exchangeable, a new one exceeds the k-th largest of n with chance k / (n + 1) at the most, whatever
    the signals are. The evidence counts twice here, as if every day went on from half of what the day before left.

    Args:
        names: of the signals (s,).
        least, relative: (s,) spread that each has at the least, and the same as a part of the median.
        first, second: of each client of a half, what the signals said (readings, s); no readings are no evidence.
        alpha: share of clients that may ring.
        headroom: factor (>= 1) on the line, for traffic that differs from what was recorded.
        beside: the scale of single clients, which those of few groups are not finer than.
    """
    if beside is not None:
        own = dict(zip(beside.names, beside.spread.tolist()))
        least = np.maximum(least, [own[name] for name in names])
    first = [scores for scores in first if len(scores)]
    largest = np.array([scores.max(axis=0) for scores in first])
    middle = np.median(largest, axis=0)
    spread = np.maximum(np.quantile(largest, 0.99, axis=0) - middle, np.maximum(least, relative * middle))
    means = [((scores - middle) / spread).max(axis=1).mean() for scores in first]
    drift = max(0.5, headroom * float(np.quantile(means, 0.99)))
    drift = drift if beside is None else max(drift, beside.drift)
    whole = Scale((*names, OVER_TIME), np.append(middle, 0.0), np.append(spread, 1.0), drift, np.inf, 0, 1.0)
    sums = np.array([2 * _largest(whole, scores)[-1] for scores in first])
    middle = np.append(middle, np.median(sums))
    spread = np.append(spread, max(float(np.quantile(sums, 0.99) - middle[-1]), 8.0))
    whole = Scale(whole.names, middle, spread, drift, np.inf, 0, 1.0)
    reached = np.sort([statistic(whole, scores) for scores in second])
    n = len(reached)
    place = min(n, int(np.ceil((n + 1) * (1 - alpha) - 1e-9)))
    threshold = headroom * max(float(reached[place - 1]), 1.5)
    threshold = threshold if beside is None else max(threshold, beside.threshold)
    return Scale(whole.names, middle, spread, drift, threshold, n, max(alpha, 1 / (n + 1)))


def statistic(scale: Scale, scores: Array) -> float:
    """Return the largest thing that a client's day of readings (r, s) reaches; -inf without any."""
    if not len(scores):
        return -np.inf
    largest = _largest(scale, scores)
    evidence = largest[-1] * scale.spread[-1] + scale.middle[-1]
    largest[-1] = (2 * evidence - scale.middle[-1]) / scale.spread[-1]
    return float(largest.max())


def _largest(scale: Scale, scores: Array) -> Array:
    evidence, best = 0.0, np.full(len(scale.middle), -np.inf)
    for row in scores:
        standard, evidence = scale.read(row, evidence)
        best = np.maximum(best, standard)
    return best
