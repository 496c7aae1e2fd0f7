"""The worst case: records made to be memorised, told apart by the best signal that shadow models give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numpy.random import Generator

from safelight.attacks.membership.bavaria import Bavaria
from safelight.attacks.membership.references import known_public, too_few_public
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhichCanaries, WhoWasIn
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class WorstCase:
    """Tell trained canaries from untrained ones: mislabelled, blank, out of distribution and duplicated records.

    What it shows: what the model does to the records that it can only learn by heart. An average over ordinary records
        hides them: outliers, mistakes, people unlike the rest.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, holds
        public records like the rest, and the records in question.
    How to lower it: train with DP-SGD; drop outliers, mistakes and duplicates from the training data. What only lowers
        the average (early stopping, distillation, smoothing) often leaves these as they were.

    A quarter of the canaries is of each kind, and each is trained or not by a coin of its own. The attack asks for
    their scores and compares them with shadow models, as M004 does. Its surest guesses fall on the kinds that this way
    of training memorises most; the numbers of each kind stand beside them.

    Attributes:
        references: shadow models (>= 2).
    """

    code: ClassVar[str] = "M008"
    title: ClassVar[str] = "Worst-case canaries"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC, Knows.RECIPE})
    answers: ClassVar[type] = WhichCanaries
    source: ClassVar[str] = "Aerni et al. 2024, arXiv:2404.17399, section 4; score: Brännvall 2026, arXiv:2603.11799"
    deep: ClassVar[bool] = False

    references: int = 16

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 20)

    def run(self, view: View, question: WhichCanaries, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        if known_public(view) is None:
            raise AccessDenied("This attack needs public records of classes that the target knows; name public data.")
        return Bavaria(self.references).run(view, WhoWasIn(question.records), rng)
