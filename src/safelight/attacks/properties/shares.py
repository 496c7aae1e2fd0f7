"""Property inference: how common was a value among the training records, read from the answers to strangers?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.linear_model import LogisticRegression

from safelight.attacks.membership.ask import affordable
from safelight.attacks.membership.references import known_public, too_few_public, trainer
from safelight.data.records import Records
from safelight.data.shares import most_with_shares, rows_with_share
from safelight.errors import AccessDenied, InputError
from safelight.evidence import Scores, WhichShare
from safelight.recipes.base import Recipe
from safelight.recipes.tallying import TallyingRecipe
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows

PROBES = 500
"""Records that are asked about, at the most."""


@dataclass(frozen=True)
class TrainingShares:
    """Tell which of two shares of the training records held a value, such as 30 % or 50 % women.

    What it shows: a fact about the training data as a whole that its owner may want to keep: how many of the
        customers, patients or staff are of a kind. It points at nobody.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, and
        holds public records like the rest, some with the value and some without.
    How to lower it: leave out columns, and what goes with them, that the task does not need; weigh or resample the
        training records to a share that is no secret. DP-SGD does not promise to hide it: it protects single records.

    A third of the public records are probes. From the others shadow models are trained, half of them on sets with the
    lower share and half on sets of the same size with the higher one. A model's features are the probabilities that it
    gives the probes, and the same sorted in each class: how its answers are spread, whichever record got which. A
    logistic regression learns from the shadows which features go with which share, and judges the target.

    The shadows are trained once, whatever the number of models that are judged. A well-fitted model that reads the
    column hardly shows the share: its answer to one record need not depend on how many others are like it. A model that
    lacks the column, while the label goes with it, shows it at once.

    Attributes:
        low, high: the two shares, each in (0, 1); the first must be the lower one.
        references: shadow models (>= 8).
    """

    code: ClassVar[str] = "P001"
    title: ClassVar[str] = "Property inference (shares)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC, Knows.RECIPE})
    answers: ClassVar[type] = WhichShare
    source: ClassVar[str] = (
        "Ateniese et al. 2015, arXiv:1306.4447; by answers alone: Zhang et al. 2021, arXiv:2006.07267, section 4"
    )
    deep: ClassVar[bool] = True

    low: float = 0.3
    high: float = 0.5
    references: int = 64

    @staticmethod
    def planted(inputs: Images | Table, leak: float) -> Recipe:
        """Return a recipe whose answers tell how common every value of its training records is."""
        return TallyingRecipe(leak)

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 40)

    def run(self, view: View, question: WhichShare, rng: Generator) -> Scores:
        """Return scores (1, k), log-probabilities; raises AccessDenied, BudgetSpent or InputError."""
        public = known_public(view)
        if public is None:
            raise AccessDenied("This attack needs public records of classes that the target knows; name public data.")
        shadows = trainer(view)
        # Drawn from the public records alone, so that every model that is judged is compared with the same shadows.
        drawn = np.random.default_rng(int(public.digest[:8], 16))
        order = drawn.permutation(len(public))
        probes, rest = public.take(order[: len(public) // 3][:PROBES]), public.take(order[len(public) // 3 :])
        present = len(np.unique(rest.y))
        if view.classes and present < len(view.classes):
            raise InputError(
                f"{len(rest)} public records, kept for shadow models, hold {present} of {len(view.classes)} classes; "
                "give more of every class."
            )
        probes = probes.take(affordable(view, len(probes), drawn))
        answered = view.scores(probes.x) if view.classes else view.labels(probes.x)
        share = np.arange(self.references) % len(question.shares)
        inside = sets(rest, question, share, drawn)
        answers = shadows.trained(rest, inside, probes)
        seen = spread(np.concatenate([answered[None], view.shortened(answers) if view.classes else answers]))
        return Scores(judged(seen[:1], seen[1:], share))


def sets(records: Records, question: WhichShare, share: Array, rng: Generator) -> Array:
    """Return which records each shadow is trained on (s, n) bool, with the share that is its own, a number (s,).

    All sets are of one size: two thirds of the largest that every share allows, so that sets of one share differ, too.

    Raises:
        InputError: the records lack the column or one of the two kinds.
    """
    if not records.is_table or question.column not in records.x.columns:
        raise InputError(f"The public records have no column {question.column!r}; give public records that have it.")
    count = most_with_shares(records, question.column, question.value, question.shares) * 2 // 3
    if count < 10:
        raise InputError(
            f"The public records allow sets of {count} with shares {' and '.join(map(str, question.shares))} of "
            f"{question.value!r} in {question.column!r}; give more that hold it, or that do not, for at least 10."
        )
    inside = np.zeros((len(share), len(records)), dtype=bool)
    for row, number in zip(inside, share):
        wanted = float(question.shares[number])
        row[rows_with_share(records, question.column, question.value, wanted, count, rng)] = True
    return inside


def spread(answers: Array) -> Array:
    """Return the features (models, f) of answers (models, m, classes) or (models, m): as they are, and sorted."""
    return np.concatenate([each.reshape(len(answers), -1) for each in (answers, np.sort(answers, axis=1))], axis=1)


def judged(target: Array, shadows: Array, share: Array) -> Array:
    """Return log-probabilities (n, k) of the shares of targets (n, f), learnt from shadows (s, f) of known shares.

    Args:
        share: of each shadow, a number (s,) from 0 to k - 1.
    """
    mean, deviation = shadows.mean(axis=0), shadows.std(axis=0)
    scale = np.where(deviation > 1e-12, deviation, 1.0)
    learnt = LogisticRegression(max_iter=1000).fit((shadows - mean) / scale, share)
    return np.asarray(learnt.predict_log_proba((target - mean) / scale))
