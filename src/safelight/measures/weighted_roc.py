"""AUC and TPR of one pool of scores under many reweightings at once: for bootstraps and permutations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.measures.threshold import allowed


@dataclass(frozen=True)
class Ranked:
    """Rows by falling score; only the order counts, so that infinite scores are as good as any.

    Attributes:
        order: row numbers from the highest score down, (n,).
        first: for each place, the first place with the same score, (n + 1,), the last being n.
        last: for each place, one past the last place with the same score, (n,).
    """

    order: Array
    first: Array
    last: Array

    def auc(self, members: Array, nonmembers: Array) -> Array:
        """Return the chance that a member scores above a nonmember, ties counting half, (d,).

        Args:
            members, nonmembers: weights of the rows on each side, (d, n).

        Returns:
            AUC in [0, 1]; NaN where a side has no weight.
        """
        inside, outside = _running(members[:, self.order]), _running(nonmembers[:, self.order])
        all_out = outside[:, -1:]
        below = all_out - (outside[:, self.first[:-1]] + outside[:, self.last]) / 2.0
        pairs = inside[:, -1] * all_out[:, 0]
        won = np.sum(np.diff(inside, axis=1) * below, axis=1)
        return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0.0)

    def tpr(self, members: Array, nonmembers: Array, fprs: Array) -> Array:
        """Return the share of members strictly above the (r + 1)-th highest nonmember, r = floor(fpr * nonmembers).

        Args:
            members, nonmembers: whole weights of the rows on each side, (d, n).
            fprs: (f,) in [0, 1].

        Returns:
            TPR (d, f) in [0, 1]; NaN where a side has no weight.
        """
        inside, outside = _running(members[:, self.order]), _running(nonmembers[:, self.order])
        values = np.full((len(inside), len(fprs)), np.nan)
        for row, (above_in, above_out) in enumerate(zip(inside, outside, strict=True)):
            if above_in[-1] > 0.0 and above_out[-1] > 0.0:
                wanted = [allowed(fpr, int(above_out[-1])) + 1 for fpr in fprs]
                place = np.searchsorted(above_out[1:], wanted, side="left")
                values[row] = above_in[self.first[place]] / above_in[-1]
        return values


def ranked(scores: Array) -> Ranked:
    """Return the rows by falling score.

    Raises:
        InputError: scores are not one row of numbers.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1:
        raise InputError(f"scores must be one row of numbers, and they have shape {scores.shape}.")
    if np.isnan(scores).any():
        raise InputError(
            f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN: give those records the lowest score."
        )
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    first = np.searchsorted(falling, falling, side="left")
    last = np.searchsorted(falling, falling, side="right")
    return Ranked(order, np.append(first, len(scores)), last)


def _running(weights: Array) -> Array:
    """Return the sums of the first 0, 1, ..., n weights, (d, n + 1)."""
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1, dtype=np.float64)], axis=1)
