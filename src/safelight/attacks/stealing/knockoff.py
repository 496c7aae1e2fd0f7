"""Knockoff: teach a student with the answers to records of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from safelight.attacks.stealing import ask
from safelight.attacks.stealing.space import Space
from safelight.attacks.stealing.student import taught
from safelight.evidence import Scores, WhatWouldItAnswer
from safelight.recipes.base import Recipe
from safelight.recipes.secret_rule import SecretRule
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Knockoff:
    """Teach a model of one's own with the scores that the target gives to public records.

    What it shows: whether the model can be copied by asking it, whatever kind of model it is.
    Who could do it: anyone who gets class scores and holds records of the same kind.
    How to lower it: answer with labels alone, and limit queries; watch for accounts that ask about far more records
        than they could have a use for.

    Public records are asked about in random order. When they are used up, a fifth of the values of each is exchanged
    for another's, which gives new questions that look alike. The student is a linear softmax model or a forest of
    extremely randomised trees, whichever answers held-out questions better. The paper's adaptive choice among the
    classes of a large set of pictures is left out.

    Where public labels are clean and the model is right, they teach nearly as much: 1,000 queries copy a network on
    digits to 98 % of its answers and a forest to 95 %, against 94 % without asking. On census data, where labels are
    noisy, they reach 92 % of a network and 96 % of a forest, against 88 and 91 %; 100 queries are not yet worth it.

    Attributes:
        queries: most queries (>= 1).
    """

    code: ClassVar[str] = "S003"
    title: ClassVar[str] = "Knockoff model"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatWouldItAnswer
    source: ClassVar[str] = "Orekondy et al. 2019, CVPR, arXiv:1812.02766, section 4 (random strategy)"
    deep: ClassVar[bool] = True

    queries: int = 1000

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        return ask.misfit(model, side)

    def planted(self, inputs: Images | Table, leak: float) -> Recipe:
        """Return a recipe whose models follow a rule that can be learnt, a share `leak` of them."""
        from sklearn.linear_model import LogisticRegression

        return SecretRule(inputs, LogisticRegression(), leak)

    def run(self, view: View, question: WhatWouldItAnswer, rng: Generator) -> Scores:
        """Return the scores of the copy (n, classes); raises AccessDenied, InputError or BudgetSpent."""
        space, whole = Space.of(view.side.public, view.inputs), ask.affordable(view, self.queries)
        records = space.features(space.read(question.records.x))
        more = max(0, whole - len(space.rows))
        rows = np.vstack([rng.permutation(space.rows)[:whole], space.crossed(more, rng)])
        features, scores = space.features(rows), np.empty((0, len(view.classes)))
        for mark in [*(mark for mark in ask.MARKS if mark < whole), whole]:
            scores = np.vstack([scores, view.scores(space.records(rows[len(scores) : mark]))])
            answer = Scores(taught(features[:mark], scores, rng)(records))
            view.keep(answer)
        return answer
