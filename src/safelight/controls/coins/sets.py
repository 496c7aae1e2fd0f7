"""Was this whole set of records in the training data?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import in_or_out
from safelight.data.records import Splits
from safelight.evidence import WhichSets

FEWEST = 40
"""Sets that are worth a run; with fewer records the sets are smaller."""


@dataclass(frozen=True)
class SetCoins:
    """Deals half of all records into sets and flips, for each set, whether it is trained whole.

    Attributes:
        size: records a set, at the most.
        most: records that may be asked about in a run.
        share: share of the coins that is guessed.
    """

    size: int = 10
    most: int = 600
    share: float = 0.25
    name: str = "sets"
    claim: str = "membership"
    unit: str = "set"
    adjacency: str = "add-remove"

    def why_not(self, data: Splits) -> str:
        records, least = len(data.everyone), 4 * FEWEST
        return (
            ""
            if self._size(data) >= 2
            else f"coins over sets need {least} records to deal out, and there are {records}"
        )

    def count(self, data: Splits) -> int:
        return self._asked(data) // max(1, self._size(data))

    def _asked(self, data: Splits) -> int:
        return min(self.most, len(data.everyone) // 2)

    def _size(self, data: Splits) -> int:
        return min(self.size, self._asked(data) // FEWEST)

    def flip(self, data: Splits, rng: Generator) -> Draw:
        return self._draw(data, rng, trained=True)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        return self._draw(data, rng, trained=False)

    def _draw(self, data: Splits, rng: Generator, trained: bool) -> Draw:
        pool, sets, size = data.everyone, self.count(data), self._size(data)
        chosen = rng.choice(len(pool), sets * size, replace=False)
        owner: Array = np.repeat(np.arange(sets), size)
        secret = rng.integers(0, 2, sets)
        inside = chosen[secret[owner] == 1] if trained else chosen[:0]
        rest = np.setdiff1d(np.arange(len(data.members)), chosen)
        order = rng.permutation(len(chosen))
        question = WhichSets(pool.take(chosen[order]), owner[order])
        match = in_or_out(owner[order], rng.permutation(sets))
        return Draw(pool.take(np.concatenate([rest, inside])), question, secret, 2, match)
