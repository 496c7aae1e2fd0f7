"""The loss tail: records that the model gets so wrong that they cannot have been trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from safelight.attacks.membership.loss import LossThreshold
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class LossTail:
    """Tell who was not in: a record that the model gets badly wrong was hardly trained on.

    What it shows: in seconds and without training anything, whether a stronger attack would find members at few false
        alarms. A model that memorises leaves a tail of large losses to strangers alone.
    Who could do it: anyone who gets class scores, or a regressor's predictions, and knows a record's label.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The score is that of the loss threshold (M001), with the upper half made equal: only the tail counts. Measured is
    the share of nonmembers with a larger loss than all but 1 in 100 members (TNR at 1 % FNR). Over models trained in
    different ways it rises and falls with the share of members that LiRA finds at 1 % false alarms, so it is the quick
    look before an audit, for every commit.
    """

    code: ClassVar[str] = "M011"
    title: ClassVar[str] = "Loss tail"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Dodd et al. 2025, arXiv:2510.19773"
    deep: ClassVar[bool] = False

    tail: ClassVar[bool] = True
    """Its claim is tested where nonmembers are told, not where members are."""

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied or BudgetSpent."""
        scores = LossThreshold().run(view, question, rng).values
        return Scores(np.minimum(scores, np.median(scores)))
