"""Linkage with names: which released row is about which person of an identified table?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.linkage.base import ReleaseAttack
from safelight.attacks.linkage.fellegi_sunter import pair_weights
from safelight.errors import InputError, did_you_mean
from safelight.evidence import Links, WhoIsWho
from safelight.targets.base import View
from safelight.threat import Knows

_TIE = 1e-9


@dataclass(frozen=True)
class RecordLinkage(ReleaseAttack):
    """Find each known person's row in the release by probabilistic record linkage.

    What it shows: which rows of the released table get their names back, although values are misspelt or out of date.
    Who could do it: anyone who has the released table and a list of named people with some of its columns.
    How to lower it: release fewer columns or coarser values until every combination is shared by several people, or
        leave rare combinations out.

    Every pair of a person and a released row is weighed column by column: agreement on a rare value says much, on a
    common one little, and how often true pairs differ is learnt from the tables themselves by expectation maximisation,
    without one known pair. The row with the highest weight is the answer. Its score is the log2 odds that it is the
    person's, rather than another row's or nobody's; where several rows agree equally well one is drawn at random.

    Attributes:
        columns: columns of the identified table, separated by commas; all that the release has too when empty.
        pairs: pairs that are learnt from, and held at once (>= 1000).
    """

    code: ClassVar[str] = "L004"
    title: ClassVar[str] = "Record linkage with names"
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhoIsWho
    source: ClassVar[str] = "Fellegi and Sunter 1969, JASA 64, section 2; Winkler 1988 (expectation maximisation)"

    columns: str = ""
    pairs: int = 2_000_000

    def run(self, view: View, question: WhoIsWho, rng: Generator) -> Links:
        """Return one row for each person.

        Raises:
            AccessDenied: there is no release.
            InputError: no column is in both tables, or one cannot be compared.
        """
        release, people = view.released(), question.identified.x
        names = shared(self.columns, list(people.columns), list(release.columns))
        parts = [best(weights, rng) for weights in pair_weights(people[names], release[names], self.pairs, rng)]
        return Links(*(np.concatenate(part) for part in zip(*parts)))


def shared(wanted: str, people: list[str], release: list[str]) -> list[str]:
    """Return the columns to compare by: those of `wanted`, separated by commas, or all that both tables have."""
    names = [word.strip() for word in wanted.split(",") if word.strip()]
    for name in names:
        for where, known in (("identified table", people), ("release", release)):
            if name not in known:
                raise InputError(
                    f"L004, columns is {wanted!r}, and the {where} has no column {name!r}."
                    f"{did_you_mean(name, map(str, known))}"
                )
    names = names or [name for name in release if name in people]
    if not names:
        raise InputError(
            f"The release ({', '.join(map(str, release))}) and the identified table ({', '.join(map(str, people))}) "
            "have no column in common; rename those that mean the same."
        )
    return names


def best(weights: Array, rng: Generator) -> tuple[Array, Array, Array]:
    """Return the best row, its log2 odds against all others, and its lead over the next one, (n,) each.

    Args:
        weights: (n, m) log2 odds of each pair by itself. A person has one row or none, so the odds of the best one are
            its own over 1 plus the sum of the others'.
    """
    top = weights.max(axis=1, keepdims=True)
    row = np.where(weights >= top - _TIE, rng.random(weights.shape), -1.0).argmax(axis=1)
    others = weights.copy()
    np.put_along_axis(others, row[:, None], -np.inf, axis=1)
    rest = np.logaddexp2.reduce(np.column_stack([others, np.zeros(len(others))]), axis=1)
    margin = top[:, 0] - others.max(axis=1) if weights.shape[1] > 1 else np.full(len(weights), np.inf)
    return row, top[:, 0] - rest, np.maximum(margin, 0.0)
