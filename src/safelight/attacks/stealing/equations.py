"""Equation solving: log odds are linear in the inputs, so that as many answers as unknowns give a linear model away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.linalg import qr

from safelight.attacks.stealing import ask
from safelight.attacks.stealing.space import Space
from safelight.attacks.stealing.student import Student, linear
from safelight.evidence import Scores, WhatWouldItAnswer
from safelight.recipes.base import Recipe
from safelight.recipes.secret_rule import SecretRule
from safelight.targets.base import Images, Model, Side, Table, View, softmax
from safelight.threat import Access, Knows

CHECKS = 10
"""Further questions that tell whether the solution holds."""

FAINT = 1e-9
"""A score below this is too near to 0 for its logarithm to be known."""

SCALES = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""How far around its centre each round of questions reaches, in the range of the public records."""

EXACT = 1e-5
"""A solution is one where no score of the further questions is off by more; models often answer in single precision."""


@dataclass(frozen=True)
class EquationSolving:
    """Solve a linear model's weights from as many answers as it has unknowns.

    What it shows: whether the answers of a logistic regression, or of another linear softmax model, are the model.
    Who could do it: anyone who gets class scores and knows what inputs look like.
    How to lower it: answer with labels or coarsely rounded scores; a limit on queries does not help, since so few are
        needed.

    The log odds of a linear model are linear in its inputs, whatever scaling or one-hot coding stands before it. With d
    such inputs, d + 1 made-up records with independent values give all weights of all classes by linear algebra, to
    the last digits. Ten more records tell whether the solution holds. Where it does not (another kind of model, rounded
    scores), the linear model that is nearest to the answers to public and made-up records is taken instead, by
    least cross-entropy, which is a poor copy of a model that is not linear.

    Attributes:
        queries: most queries (>= 1).
    """

    code: ClassVar[str] = "S001"
    title: ClassVar[str] = "Equation solving"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatWouldItAnswer
    source: ClassVar[str] = "Tramer et al. 2016, USENIX Security, arXiv:1609.02943, section 4.1"
    deep: ClassVar[bool] = True

    queries: int = 1000

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        return ask.misfit(model, side)

    def planted(self, inputs: Images | Table, leak: float) -> Recipe:
        """Return a recipe whose models follow a linear rule, a share `leak` of them."""
        from sklearn.linear_model import LogisticRegression

        return SecretRule(inputs, LogisticRegression(), leak)

    def run(self, view: View, question: WhatWouldItAnswer, rng: Generator) -> Scores:
        """Return the scores of the copy (n, classes); raises AccessDenied, InputError or BudgetSpent."""
        space, whole = Space.of(view.side.public, view.inputs), ask.affordable(view, self.queries)
        records = space.features(space.read(question.records.x))
        copy, asked, answers = solved(view, space, whole, rng)
        if copy is None:
            wanted = rng.permutation(np.vstack([space.rows, space.crossed(whole, rng)])[: whole - len(asked)])
            for mark in sorted({mark for mark in (*ask.MARKS, whole) if len(asked) < mark <= whole}):
                rows, wanted = wanted[: mark - len(asked)], wanted[mark - len(asked) :]
                asked = np.vstack([asked, space.features(rows)])
                answers = np.vstack([answers, view.scores(space.records(rows))])
                view.keep(Scores(linear(asked, answers)(records)))
            copy = linear(asked, answers)
        answer = Scores(copy(records))
        view.keep(answer)
        return answer


def solved(view: View, space: Space, most: int, rng: Generator) -> tuple[Student | None, Array, Array]:
    """Return the model that explains all answers, or None; with the features asked (m, d) and the answers (m, classes).

    The rows that are asked are as independent of each other as a QR decomposition with pivoting finds them among
    made-up ones. Where too many answers have a score too near to 0 to be good equations, rows half as far around the
    least certain one are asked, and so on.
    """
    width, centre = space.features(space.rows[:1]).shape[1], np.nanmean(space.rows, axis=0)
    unknowns, asked, answers = 0, np.empty((0, width)), np.empty((0, len(view.classes)))
    for scale in SCALES:
        made_up = space.drawn(2 * width + 50, rng)
        rows = space.sent(np.where(space.words, made_up, centre + scale * (made_up - centre)))
        _, triangle, order = qr(_with_one(space.features(rows)).T, mode="economic", pivoting=True)
        size = np.abs(np.diag(triangle))
        unknowns = max(unknowns, int((size > 1e-9 * size[0]).sum()))
        rows = rows[order[:unknowns]]
        if len(asked) + len(rows) + CHECKS > most:
            return None, asked, answers
        new = view.scores(space.records(rows))
        asked, answers = np.vstack([asked, space.features(rows)]), np.vstack([answers, new])
        clear = answers.min(axis=1) > FAINT
        if np.linalg.matrix_rank(_with_one(asked[clear])) >= unknowns:
            break
        centre = rows[new.min(axis=1).argmax()]
    else:
        return None, asked, answers
    trust = answers[clear].min(axis=1, keepdims=True)  # the fainter a score, the fewer digits its logarithm has
    logs = np.log(answers[clear])
    odds = logs - logs.mean(axis=1, keepdims=True)
    weights = np.linalg.lstsq(trust * _with_one(asked[clear]), trust * odds, rcond=None)[0]
    rows = space.sent(space.drawn(CHECKS, rng))
    truth, features = view.scores(space.records(rows)), space.features(rows)
    found = np.abs(softmax(_with_one(features) @ weights) - truth).max() < EXACT
    copy = (lambda features: softmax(_with_one(features) @ weights)) if found else None
    return copy, np.vstack([asked, features]), np.vstack([answers, truth])


def _with_one(features: Array) -> Array:
    return np.column_stack([features, np.ones(len(features))])
