"""Inference: the value of the released records that are most like the one in question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.attributes.column import which
from safelight.attacks.linkage.base import ReleaseAttack, released
from safelight.attacks.linkage.gower import distances
from safelight.errors import InputError
from safelight.evidence import Scores, WhichValue
from safelight.targets.base import View
from safelight.threat import Knows


@dataclass(frozen=True)
class NearestValue(ReleaseAttack):
    """Guess the value that the nearest released records hold.

    What it shows: whether the released table gives away a secret of the people whose records it was made from.
    Who could do it: anyone who has the released table and knows the other columns of a record.
    How to lower it: leave the sensitive column out, release coarser values, or a synthetic table of a model that does
        not copy records (trained with differential privacy).

    Nearness is Gower's distance over the other columns. The belief in a value is the log of the sum of
    exp(-distance / width) over the released records that hold it, and never less than that of a single one at distance
    1. With a small width that is the value of the nearest record; among equally near ones the most frequent value wins,
    and a guess is the surer the farther the next other value is.

    Attributes:
        width: distance over which a released record loses most of its say (> 0); the paper's nearest neighbour is the
            limit 0.
    """

    code: ClassVar[str] = "L003"
    title: ClassVar[str] = "Inference from a release"
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichValue
    source: ClassVar[str] = "Giomi et al. 2022, arXiv:2211.10459 (inference)"

    width: float = 0.002

    def run(self, view: View, question: WhichValue, rng: Generator) -> Scores:
        """Return beliefs (n, k); raises AccessDenied without a release, InputError where columns do not fit."""
        x = question.records.x
        known = [name for name in x.columns if name != question.column]
        release = released(view, [*known, question.column])
        codes = which(release[question.column], question.values)
        if not (codes >= 0).any():
            raise InputError(
                f"The released column {question.column!r} holds none of the {len(question.values)} values in question; "
                "code it the same way in the records and in the release."
            )
        near = release.loc[codes >= 0, known]
        held = np.eye(len(question.values))[codes[codes >= 0]]
        return Scores(np.concatenate([votes(part, held, self.width) for part in distances(x, near)]))


def votes(distance: Array, held: Array, width: float) -> Array:
    """Return the log of the sum of exp(-distance / width) by value (n, k).

    Args:
        distance: (n, m) to released records.
        held: (m, k) 1 for the value that each one holds, else 0.
    """
    nearest = distance.min(axis=1, keepdims=True)
    sums = np.exp((nearest - distance) / width) @ held
    return np.maximum(np.log(np.maximum(sums, 1e-300)) - nearest / width, -1 / width)  # type: ignore[no-any-return]
