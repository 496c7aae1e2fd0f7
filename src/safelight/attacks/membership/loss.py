"""The loss threshold: is the model surer of this record than of others?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.confidence import confidence
from safelight.attacks.membership.ask import affordable, beliefs
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class LossThreshold:
    """Score each record by the log odds that the model gives to its true label.

    What it shows: whether overfitting alone tells members from nonmembers.
    Who could do it: anyone who gets class scores, or a regressor's predictions, and knows a record's label.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The score is log p_y - log(1 - p_y), which orders records as the loss does and keeps apart those that the model is
    all but sure of (1 - p_y is summed from the other classes). With only the top k scores shown, a hidden p_y is taken
    as an equal share of what the shown ones leave; rounding gives ties, at worst all records alike. For regression the
    score is -(y - f(x))^2. Records beyond the budget get the median score.

    Attributes:
        smallest: probabilities are clipped here (> 0), so that both logs stay finite.
    """

    code: ClassVar[str] = "M001"
    title: ClassVar[str] = "Loss threshold"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = (
        "Yeom et al. 2018, arXiv:1709.01604, section 3.1; log odds: Carlini et al. 2022, arXiv:2112.03570"
    )
    deep: ClassVar[bool] = False

    smallest: float = 1e-30

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied or BudgetSpent."""
        rows = affordable(view, len(question.records), rng)
        asked = question.records.take(rows)
        if view.classes:
            scores = log_odds(view.scores(asked.x), asked.y, self.smallest)
        else:
            scores = -((asked.y - view.labels(asked.x)) ** 2)
        return beliefs(len(question.records), rows, scores)


def log_odds(scores: Array, labels: Array, smallest: float) -> Array:
    """Return log p_y - log(1 - p_y) (...) for answers (..., classes) and known labels (...)."""
    sure = confidence(scores, labels)
    others = scores.copy()
    np.put_along_axis(others, labels[..., None], 0.0, axis=-1)
    # Summing the others keeps 1e-20 where 1 - p would read 0; shortened answers hide some of them.
    unsure = np.maximum(others.sum(axis=-1), 1 - sure)
    return np.log(np.maximum(sure, smallest)) - np.log(np.maximum(unsure, smallest))
