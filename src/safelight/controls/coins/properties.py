"""Which of two shares of the training records held this value?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.attributes import read_values
from safelight.controls.coins.base import Draw
from safelight.data.records import Splits
from safelight.data.shares import most_with_shares, rows_with_share
from safelight.evidence import WhichShare

LEAST = 40
"""Training records, at the least."""


@dataclass(frozen=True)
class PropertyCoins:
    """Draws the training records anew from members and nonmembers; a coin decides which share of them holds the value.

    Either way they are equally many, drawn at random among those that hold it and those that do not, so that nothing
    else differs but what goes with the value by itself. One model carries one coin, so that it takes as many trainings
    as guesses. A coin changes many records at once: guesses say nothing about differential privacy.

    Attributes:
        column: a sensitive column.
        value: one of its values.
        low, high: the shares.
        share: share of the coins that is guessed.
    """

    column: str
    value: Any
    low: float = 0.3
    high: float = 0.5
    claim: str = "property"
    unit: str = "data set"
    adjacency: str = "none"
    share: float = 1.0

    @property
    def name(self) -> str:
        return f"share-{self.column}"

    @property
    def shares(self) -> Array:
        return np.array([self.low, self.high])

    def why_not(self, data: Splits) -> str:
        if not self.low < self.high:
            return f"of two shares the first must be the lower one, and they are {self.low:g} and {self.high:g}"
        size = self._size(data)
        return "" if size >= LEAST else (
            f"shares of {self.low:g} and {self.high:g} of {self.value!r} in {self.column!r} leave {size} of "
            f"{len(data.everyone)} records to train on, and at least {LEAST} are needed"
        )  # fmt: skip

    def count(self, data: Splits) -> int:
        return 1

    def flip(self, data: Splits, rng: Generator) -> Draw:
        secret = rng.integers(0, 2, 1)
        return self._draw(data, float(self.shares[secret[0]]), secret, rng)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        """The share lies half-way, whatever the coin."""
        return self._draw(data, (self.low + self.high) / 2, rng.integers(0, 2, 1), rng)

    def _size(self, data: Splits) -> int:
        return min(len(data.members), most_with_shares(data.everyone, self.column, self.value, self.shares))

    def _draw(self, data: Splits, share: float, secret: Array, rng: Generator) -> Draw:
        pool = data.everyone
        rows = rows_with_share(pool, self.column, self.value, share, self._size(data), rng)
        asked = np.array([f"{self.value}: {self.low:.0%} or {self.high:.0%}"])
        return Draw(pool.take(rows), WhichShare(self.column, self.value, self.shares), secret, 2, read_values, asked)
