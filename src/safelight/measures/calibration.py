"""From a membership score to the chance that the record was in, learnt where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from sklearn.isotonic import IsotonicRegression


@dataclass(frozen=True)
class Calibration:
    """A rising step function from scores to probabilities.

    Attributes:
        scores: (s,) rising.
        chance: (s,) rising, in (0, 1): of membership, for somebody who held one half likely beforehand.
        error: mean absolute gap between stated chance and share of members, over ten equal groups of targets that were
            not learnt from; in [0, 1].
    """

    scores: Array
    chance: Array
    error: float

    def __call__(self, scores: Array) -> Array:
        """Return the chance (n,) for scores (n,); beyond the learnt range it stays at its end."""
        return np.interp(scores, self.scores, self.chance)


def calibrated(scores: Array, member: Array, target: Array) -> Calibration:
    """Learn the chance of membership from attacks on targets whose members are known (isotonic regression).

    Both sides weigh the same, so that the chance is that of somebody who held one half likely beforehand. The error is
    measured on every second target with what the others teach; the curve itself is learnt from all.

    Args:
        scores: (n,) of all records and targets.
        member: (n,) bool.
        target: (n,) number of the target, at least two different ones.
    """
    even = np.isin(target, np.unique(target)[::2])
    gaps = [_gap(_learn(scores[learn], member[learn]), scores[~learn], member[~learn]) for learn in (even, ~even)]
    x, chance = _learn(scores, member)
    return Calibration(x, chance, float(np.mean(gaps)))


def _learn(scores: Array, member: Array) -> tuple[Array, Array]:
    weight = np.where(member, 1 / max(1, member.sum()), 1 / max(1, (~member).sum()))
    # One record a side is added at each end: no finite number of targets shows that a chance is 0 or 1.
    ends = np.array([scores.min(), scores.min(), scores.max(), scores.max()])
    x = np.concatenate([scores, ends])
    y = np.concatenate([member.astype(float), [0.0, 1.0, 0.0, 1.0]])
    w = np.concatenate([weight, np.repeat(1 / max(1, len(scores) / 2), 4)])
    fitted = IsotonicRegression().fit(x, y, sample_weight=w)
    return np.asarray(fitted.X_thresholds_), np.asarray(fitted.y_thresholds_)


def _gap(learnt: tuple[Array, Array], scores: Array, member: Array, groups: int = 10) -> float:
    """Return the mean gap between stated chance and weighted share of members, in equal groups by stated chance."""
    stated = np.interp(scores, *learnt)
    weight = np.where(member, 1 / max(1, member.sum()), 1 / max(1, (~member).sum()))
    parts = np.array_split(np.argsort(stated, kind="stable"), groups)
    gaps = [
        abs(np.average(stated[rows], weights=weight[rows]) - np.average(member[rows], weights=weight[rows]))
        for rows in parts
        if len(rows)
    ]
    return float(np.mean(gaps))
