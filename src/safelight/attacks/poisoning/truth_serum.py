"""Truth Serum: wrong labels for a record, put into the training data, make its right label stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.bavaria import ratio
from safelight.attacks.membership.references import Compared, held, known_public, too_few_public, trainer
from safelight.attacks.membership.signal import smallest_step
from safelight.compute.shadows import halves
from safelight.data.records import concat
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhoWasInPoisoned
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class TruthSerum:
    """Put mislabelled copies of a record into the training data, then tell whether the record itself is there.

    What it shows: what the model tells of single records to somebody who also gave some of the training data.
    Who could do it: anyone who can put records into the training data (one of several data owners, a user whose input
        is learnt from), gets class scores, knows how the model is trained, and holds public records like the rest, and
        the records in question.
    How to lower it: check where training data comes from; drop near duplicates whose labels disagree; train with
        DP-SGD, whose bound holds whatever else is in the data.

    Each record gets one wrong label, drawn at random, and copies of it with that label are trained, whether the record
    itself is or not. Alone they teach the wrong label; a record that is there with its own label holds against them, as
    an outlier that is learnt by heart. The signal is log p(own label) - log p(wrong label). It is compared with that of
    shadow models that learnt the same copies, as in M004.

    A model is trained for this attack, so the finding says nothing of the given model, only of this way of training
    once somebody poisons it. Many records are poisoned in one training, to save trainings; the copies are up to a
    quarter as many as the members, or more where members are few. A model that learns nothing by heart, such as a
    logistic regression of few columns, is merely made worse.

    Attributes:
        copies: of each record, with the wrong label (>= 1).
        references: shadow models (>= 2).
    """

    code: ClassVar[str] = "K001"
    title: ClassVar[str] = "Poisoned membership (Truth Serum)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC, Knows.RECIPE})
    answers: ClassVar[type] = WhoWasInPoisoned
    source: ClassVar[str] = "Tramèr et al. 2022, arXiv:2204.00032, section 4; score: Brännvall 2026, arXiv:2603.11799"
    deep: ClassVar[bool] = True

    copies: int = 4
    references: int = 16

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 20)

    def run(self, view: View, question: WhoWasInPoisoned, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        asked, public = question.records, known_public(view)
        if public is None:
            raise AccessDenied("This attack needs public records of classes that the target knows; name public data.")
        shadows = trainer(view)
        rows = affordable(view, len(asked), rng)
        told = view.scores(asked.take(rows).x)
        records = held(asked, public, len(view.classes))
        # The halves follow from the records: every model that is asked this question is compared with the same shadows.
        inside = halves(records, self.references, np.random.default_rng(int(records.digest[:8], 16)))
        poison = question.poison
        learnt = np.hstack([np.ones((len(inside), len(poison)), dtype=bool), inside])
        answers = shadows.trained(concat([poison, records]), learnt, asked)
        answered = np.concatenate([told[None], view.shortened(answers)[:, rows]])
        signal = gap(answered, asked.y[rows], question.wrong[rows])
        seen = Compared(rows, signal[0], signal[1:], inside[:, rows])
        return beliefs(len(asked), rows, ratio(seen, mean_weight=0.1, shape=2.0))


def gap(answers: Array, own: Array, wrong: Array) -> Array:
    """Return log p(own label) - log p(wrong label) (..., n), kept finite by `smallest_step`.

    Args:
        answers: probabilities (..., n, classes).
        own, wrong: class numbers (n,).
    """
    rows, least = np.arange(len(own)), smallest_step(answers)
    right, other = (np.maximum(answers[..., rows, labels], least) for labels in (own, wrong))
    return np.log(right) - np.log(other)  # type: ignore[no-any-return]
