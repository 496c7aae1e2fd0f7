"""Set membership: many records together, such as those of one hospital, tell what a single one does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from safelight.attacks.membership.lira import Lira, Variance
from safelight.evidence import Scores, WhichSets, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class SetMembership:
    """Tell whether a whole set of records was trained on.

    What it shows: whether a person with several records, or the owner of a data set, can find out that it was used,
        although no single record can be told.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, and
        holds the set in question.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD; the promise must then be one
        about people, not about records.

    Each record's likelihood ratio with one variance for all (M003) is averaged over its set: what is too weak in one
    record adds up, records weighing as much as training moves them. Sets hold up to ten records drawn at random; where
    a table says who its records are about, the coins of the other membership attacks decide about whole people already.

    Attributes:
        references: shadow models (>= 4).
    """

    code: ClassVar[str] = "M009"
    title: ClassVar[str] = "Set membership"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.RECIPE})
    answers: ClassVar[type] = WhichSets
    source: ClassVar[str] = (
        "Maini et al. 2021 (dataset inference), arXiv:2104.10706; ratio: Carlini et al. 2022, arXiv:2112.03570"
    )
    deep: ClassVar[bool] = True

    references: int = 16

    def run(self, view: View, question: WhichSets, rng: Generator) -> Scores:
        """Return the log ratio of each record (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        return Lira(self.references, variance=Variance.FIXED).run(view, WhoWasIn(question.records), rng)
