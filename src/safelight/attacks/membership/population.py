"""The population attack: is the model surer of this record than of nearly everybody else with the same label?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.references import known_public, too_few_public
from safelight.attacks.membership.signal import signal
from safelight.data.records import concat
from safelight.errors import AccessDenied, BudgetSpent
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Population:
    """Rank each record's score among those of public records with the same label.

    What it shows: whether overfitting tells members from nonmembers once easy and hard classes are told apart, and
        with a false-alarm rate that the attacker can read off beforehand.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows a record's label and holds public
        records of the same kind. No model has to be trained.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The score is the share of public records that the model is less sure of, ties counting half: one minus the p-value
    of "this is one more record of the population". It is taken among the records of the same label and among all,
    and mixed by how many of the label there are; for regression among all. Records between the same public scores keep
    the order of their own. Records beyond the budget get the median score.

    Attributes:
        population: public records that are asked (>= 10).
        trust: how many public records of a label count as much as all of them together (> 0).
    """

    code: ClassVar[str] = "M007"
    title: ClassVar[str] = "Population percentile"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Ye et al. 2022, CCS, arXiv:2111.09679, section 4 (attack P)"
    deep: ClassVar[bool] = False

    population: int = 1000
    trust: float = 20.0

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 10)

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied or BudgetSpent."""
        public = known_public(view)
        if public is None:
            raise AccessDenied("This attack needs public records of classes that the target knows; name public data.")
        if view.left() < 2:
            raise BudgetSpent(f"This attack needs at least 2 queries and {view.left():.0f} are left; nothing was sent.")
        size = int(min(self.population, len(public), max(view.left() // 4, 1)))
        public = public.take(np.sort(rng.permutation(len(public))[:size]))
        rows = affordable(view, len(question.records), rng, besides=size)
        asked, classes = question.records.take(rows), len(view.classes)
        x = concat([public, asked]).x
        answers = view.scores(x) if classes else view.labels(x)
        odds = signal(answers, np.concatenate([public.y, asked.y]), classes)
        among = percentile(odds[size:], odds[:size])
        if classes:
            for label in np.unique(asked.y):
                own, mine = odds[:size][public.y == label], asked.y == label
                if len(own):
                    weight = len(own) / (len(own) + self.trust)
                    among[mine] = weight * percentile(odds[size:][mine], own) + (1 - weight) * among[mine]
        # What ties here (beyond all of the population) keeps the order of the scores themselves.
        return beliefs(len(question.records), rows, among + percentile(odds[size:], odds[size:]) / (10 * size))


def percentile(values: Array, population: Array) -> Array:
    """Return the share (n,) of a population (p,) that lies below each of the values (n,), ties counting half."""
    ordered = np.sort(population)
    below, upto = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + upto) / (2 * len(population))
