"""Linkability: does the release join two halves of a record that two sources hold?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import rankdata

from safelight.attacks.linkage.base import ReleaseAttack, released
from safelight.attacks.linkage.gower import distances
from safelight.evidence import Scores, WhichBelongTogether
from safelight.targets.base import View
from safelight.threat import Knows


@dataclass(frozen=True)
class Linkability(ReleaseAttack):
    """Link two halves of a record by a released record that is among the nearest to both.

    What it shows: whether two sources that hold different columns of the same people can be joined through the release.
    Who could do it: anyone who has the released table and two sources with some of its columns each.
    How to lower it: release fewer columns or coarser values, or a synthetic table of a model that does not copy records
        (trained with differential privacy).

    Released records are ranked by Gower's distance to the left half, by the columns that it holds, and likewise to the
    right half. The score of a pair is the log of `neighbours` over the least k with which the k nearest of both halves
    share a released record: 0 or more where the pair is linked. Ties are no help: a released record counts as its last
    place among all that are as near, so that a crowd of equals links nobody.

    Attributes:
        neighbours: released records that count as nearest (>= 1).
        left: columns that the first source holds, separated by commas; the second holds all others. Left empty, an
            audit draws half of them at random.
    """

    code: ClassVar[str] = "L002"
    title: ClassVar[str] = "Linkability of two sources"
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichBelongTogether
    source: ClassVar[str] = "Giomi et al. 2022, arXiv:2211.10459 (linkability)"

    neighbours: int = 1
    left: str = ""

    def run(self, view: View, question: WhichBelongTogether, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied without a release, InputError where columns do not fit."""
        halves = [half.x for half in (question.left, question.right)]
        steps = zip(*(distances(half, released(view, list(half.columns))) for half in halves))
        meet = np.concatenate([meeting(left, right) for left, right in steps])
        return Scores(np.log(self.neighbours / meet)[:, None])


def meeting(left: Array, right: Array) -> Array:
    """Return the least k (n,) with which the k nearest by both distances (n, m) share a released record."""
    places = np.maximum(rankdata(left, "max", axis=1), rankdata(right, "max", axis=1))
    return places.min(axis=1)  # type: ignore[no-any-return]
