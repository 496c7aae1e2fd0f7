"""Was some picture of this range in the training data?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Splits
from safelight.data.shifts import shifted, shifts
from safelight.evidence import WhichRanges


@dataclass(frozen=True)
class RangeCoins:
    """Flips, for each of up to `most` pictures, whether it is trained, and asks about a copy that is moved.

    Each copy is moved by another way than the picture itself, up to `reach` pixels along each side: the picture is
    within the range of its copy, and is never the copy.

    Attributes:
        reach: pixels along each side (>= 1).
        most: coins a run, at the most; never more than half of all records.
        share: share of the coins that is guessed.
    """

    reach: int = 1
    most: int = 600
    share: float = 0.25
    name: str = "ranges"
    claim: str = "membership"
    unit: str = "record"
    adjacency: str = "add-remove"

    def why_not(self, data: Splits) -> str:
        return "rows of a table cannot be moved by pixels" if data.members.is_table else self._records.why_not(data)

    def count(self, data: Splits) -> int:
        return self._records.count(data)

    def flip(self, data: Splits, rng: Generator) -> Draw:
        return self._moved(self._records.flip(data, rng), rng)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        return self._moved(self._records.never_saw(data, rng), rng)

    @property
    def _records(self) -> RecordCoins:
        return RecordCoins(most=self.most, share=self.share)

    def _moved(self, draw: Draw, rng: Generator) -> Draw:
        asked = draw.question.records  # type: ignore[union-attr]
        ways = rng.permutation(shifts(self.reach)[1:])
        own = ways[rng.integers(0, len(ways), len(asked))]
        return replace(draw, question=WhichRanges(shifted(asked, own), self.reach))
