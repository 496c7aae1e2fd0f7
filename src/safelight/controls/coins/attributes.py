"""Which value did the sensitive column hold for this record?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.data.records import Records, Splits
from safelight.evidence import Answer, Scores, WhichValue


@dataclass(frozen=True)
class AttributeCoins:
    """Gives up to `most` members a random value in one column before training; the rest keep theirs.

    Only a part is randomised: more would destroy the column's natural relation to the label.

    Attributes:
        column: the sensitive column.
        most: coins a run, at the most; never more than a quarter of the members.
        share: share of the coins that is guessed.
    """

    column: str
    most: int = 300
    share: float = 1 / 3
    claim: str = "attribute"
    unit: str = "attribute"
    adjacency: str = "replace"

    @property
    def name(self) -> str:
        return f"attribute-{self.column}"

    def why_not(self, data: Splits) -> str:
        values = len(values_of(data.members, self.column))
        if values < 2 or values > 20:
            return f"coins over {self.column!r} need 2 to 20 different values and it has {values}"
        coins = self.count(data)
        return "" if coins >= 20 else f"coins over {self.column!r} need at least 80 members and there are {4 * coins}"

    def count(self, data: Splits) -> int:
        return min(self.most, len(data.members) // 4)

    def flip(self, data: Splits, rng: Generator) -> Draw:
        members = data.members
        values = values_of(members, self.column)
        rows = rng.choice(len(members), self.count(data), replace=False)
        secret = rng.integers(0, len(values), len(rows))
        return self._draw(with_values(members, self.column, rows, values[secret]), members.take(rows), values, secret)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        members = data.members
        values = values_of(members, self.column)
        rows = rng.choice(len(members), self.count(data), replace=False)
        trained = members.take(np.setdiff1d(np.arange(len(members)), rows))
        return self._draw(trained, members.take(rows), values, rng.integers(0, len(values), len(rows)))

    def _draw(self, train: Records, asked: Records, values: Array, secret: Array) -> Draw:
        question = WhichValue(blanked(asked, self.column, values), self.column, values)
        return Draw(train, question, secret, len(values), read_values)


def values_of(records: Records, column: str) -> Array:
    """Return the different values of a column (k,), sorted."""
    return np.array(sorted(pd.unique(records.x[column])))


def with_values(records: Records, column: str, rows: Array, values: Array) -> Records:
    """Return the records with other values (m,) in `column` at `rows` (m,)."""
    x = records.x.copy()
    x.iloc[rows, x.columns.get_loc(column)] = values
    return replace(records, x=x)


def blanked(records: Records, column: str, values: Array) -> Records:
    """Return the records with the same value everywhere in `column`: the attack learns nothing from it."""
    return with_values(records, column, np.arange(len(records)), np.repeat(values[:1], len(records)))


def read_values(answer: Answer) -> Array:
    """Return the scores (m, k) themselves as beliefs."""
    assert isinstance(answer, Scores)
    return answer.values
