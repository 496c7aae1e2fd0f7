"""Label-only membership: how far can a record be moved before the model changes its mind?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.boundary import STARTS, distances, queries_each
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhoWasIn
from safelight.recipes.base import Recipe
from safelight.recipes.rooms import RoomyRecipe
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows

LEVELS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Sizes of the noise: parts of the range of a picture, or of a column's standard deviation; odds of another value."""


class Moves(Enum):
    """How the room around a record is felt out."""

    GAP = "gap"
    NOISE = "noise"
    BOUNDARY = "boundary"


@dataclass(frozen=True)
class LabelOnly:
    """Measure how robust the model's right answer is: members lie further from where it changes.

    What it shows: whether hiding the scores hides who was in the training data.
    Who could do it: anyone who gets no more than the predicted label, and knows the record and its true label.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD; limit queries, since each
        record takes many.

    With noise, copies of the record are disturbed at five levels, and the score is the share that keeps the true label
    (for a column of words, the level is the chance of another value). With the boundary, the way to the nearest
    place where the label changes is walked by HopSkipJump (pictures and columns of numbers, with a public record of
    another label to start from). A record that the model gets wrong has distance 0 and comes below all others; the gap
    stops there, at one query a record. On digits that a network gets almost all right the AUC is .56 by noise or by the
    boundary, .53 by the gap, and .57 with scores; where one label in five is wrong the gap alone says as much. A forest
    learns single points by heart and leaves them little room: there the gap is better (.59 against .54 by noise).
    Records beyond the budget get the median score.

    Attributes:
        moves: "gap", "noise" or "boundary".
        copies: disturbed copies of a record in all (>= 5).
        steps: steps along the boundary (>= 1).
        directions: random directions that one step tries (>= 2).
    """

    code: ClassVar[str] = "M006"
    title: ClassVar[str] = "Label-only membership"
    needs: ClassVar[Access] = Access.LABEL
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = (
        "Choquette-Choo et al. 2021, ICML, arXiv:2007.14321, section 3; HopSkipJump: Chen et al. 2020, arXiv:1904.02144"
    )
    deep: ClassVar[bool] = False

    moves: Moves = Moves.NOISE
    copies: int = 50
    steps: int = 4
    directions: int = 50

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        if not model.classes:
            return "a regressor has no label to change"
        moves = self.moves is not Moves.GAP
        return "it asks about records that are not on file" if moves and getattr(model, "on_file", False) else ""

    def planted(self, inputs: Images | Table, leak: float) -> Recipe:
        """Return a recipe whose models leave room around the share `leak` of their records."""
        return RoomyRecipe(inputs, leak)

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied or BudgetSpent."""
        if not view.classes:
            raise AccessDenied("This attack watches labels change, and a regressor has none; use M001.")
        records = question.records
        each = {
            Moves.GAP: 1,
            Moves.NOISE: 1 + self.copies // len(LEVELS) * len(LEVELS),
            Moves.BOUNDARY: queries_each(self.steps, self.directions),
        }[self.moves]
        rows = affordable(view, len(records), rng, STARTS if self.moves is Moves.BOUNDARY else 0, each)
        asked = records.take(rows)
        right = view.labels(asked.x) == asked.y
        scores = np.where(right, 1.0, -1.0)
        if right.any() and self.moves is Moves.NOISE:
            scores[right] = self._kept(view, asked.take(right), rng)
        if right.any() and self.moves is Moves.BOUNDARY:
            scores[right] = distances(view, asked.take(right), self.steps, self.directions, rng)
        return beliefs(len(records), rows, scores)

    def _kept(self, view: View, records: Records, rng: Generator) -> Array:
        """Return the share (n,) of disturbed copies that keep the true label."""
        kept, copies = np.zeros(len(records)), self.copies // len(LEVELS)
        for level in LEVELS:
            for _ in range(copies):
                kept += view.labels(disturbed(records.x, level, rng)) == records.y
        return kept / (copies * len(LEVELS))


def disturbed(x: Any, level: float, rng: Generator) -> Any:
    """Return noisy copies of pictures (n, ...), kept in their range, or of the rows of a table.

    Args:
        level: deviation of the noise as a part of the range of all pictures, or of each column's own deviation; a word
            (or a truth value) becomes that of a random other row with this chance.
    """
    if not isinstance(x, pd.DataFrame):
        low, high = float(x.min()), float(x.max())
        return np.clip(x + level * (high - low) * rng.standard_normal(x.shape), low, high).astype(x.dtype)
    columns = {}
    for name, column in x.items():
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            moved = column + level * column.std(ddof=0) * rng.standard_normal(len(column))
            columns[name] = moved.round().astype(column.dtype) if column.dtype.kind in "iu" else moved
        else:
            other = column.sample(frac=1, random_state=rng).to_numpy()
            columns[name] = column.where(rng.random(len(column)) >= level, other)
    return pd.DataFrame(columns)
