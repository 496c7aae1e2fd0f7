"""Range membership: the attacker holds a picture that is almost the one in question, and asks about all near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.references import mean_where, references
from safelight.attacks.membership.signal import signal
from safelight.data.records import concat
from safelight.data.shifts import shifted, shifts
from safelight.errors import InputError
from safelight.evidence import Scores, WhichRanges
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class RangeMembership:
    """Tell whether some picture of a range was trained on, when the picture itself is not at hand.

    What it shows: whether a person whose picture the attacker has in another crop can find out, or be found out, by it.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, and
        holds a picture that is the one in question but for a move by a pixel or so.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The range is every move of the picture by up to a pixel along each side, nine views. The score of a view is the log
    odds of its label minus what shadow models that never saw the picture make of the same view: how hard it is. The
    highest views are averaged: one that was trained on stands out, and the mean of all dilutes it. Shadow models learn
    from the moved pictures, the only ones that the attacker has.

    This is the attacker's best case: pixels that leave at one edge come back at the other, so that the picture itself
    is always in the range. A picture that was also turned, stored again, or moved with blank pixels coming in, is not.
    Even so it is weak: on small digits with one label in five wrong the AUC is 0.54, where the moved picture alone
    gives 0.51. With right labels the gain was 0.005 over one set of 16 networks and 0.016 over another: hardly any.
    Who holds the picture itself has stronger attacks. Records beyond the budget get the median score.

    Attributes:
        references: shadow models (>= 2).
        top: how many of the highest views are averaged (>= 1); all of them where there are fewer.
    """

    code: ClassVar[str] = "M010"
    title: ClassVar[str] = "Range membership"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.RECIPE})
    answers: ClassVar[type] = WhichRanges
    source: ClassVar[str] = (
        "Tao & Shokri 2024 (RaMIA), arXiv:2408.05131; difficulty: Watson et al. 2022, arXiv:2111.08440"
    )
    deep: ClassVar[bool] = True

    references: int = 16
    top: int = 3

    def run(self, view: View, question: WhichRanges, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        if self.top < 1:
            raise InputError(f"top is {self.top}; average at least 1 view.")
        asked, ways = question.records, shifts(question.reach)
        count, views = len(asked), [shifted(asked, np.tile(way, (len(asked), 1))) for way in ways]
        rows = affordable(view, count, rng, each=len(views))
        others = references(view, asked, self.references, concat(views))
        paid = concat([each.take(rows) for each in views])
        answered = view.scores(paid.x) if view.classes else view.labels(paid.x)
        columns = (np.arange(len(views))[:, None] * count + rows).ravel()
        values = signal(np.concatenate([answered[None], others.answers[:, columns]]), paid.y, len(view.classes))
        outside = np.tile(~others.inside[:, rows], len(views))
        beyond = (values[0] - mean_where(outside, values[1:])).reshape(len(views), -1)
        return beliefs(count, rows, highest(beyond, self.top))


def highest(scores: Array, top: int) -> Array:
    """Return the mean (n,) of the `top` highest of the scores (views, n) of each record."""
    return np.asarray(np.sort(scores, axis=0)[-top:].mean(axis=0))
