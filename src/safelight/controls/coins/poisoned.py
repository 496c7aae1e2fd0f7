"""Was this record in the training data, beside copies of it that have a wrong label?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import RecordCoins
from safelight.data.canaries import other_labels
from safelight.data.records import Records, Splits, concat
from safelight.evidence import WhoWasIn, WhoWasInPoisoned


@dataclass(frozen=True)
class PoisonedCoins(RecordCoins):
    """Flips for each record whether it is trained; mislabelled copies of all records in question always are.

    The copies are at most a quarter as many as the members, so that the model still learns its task; but never of fewer
    than 20 units, so that a run has something to guess.

    Attributes:
        copies: of each record in question, all with one wrong label.
    """

    copies: int = 4
    share: float = 0.5
    name: str = "poisoned"

    def why_not(self, data: Splits) -> str:
        return super().why_not(data) or (
            "" if len(np.unique(data.members.y)) > 1 else "a wrong label needs a second class, and the members have one"
        )

    def count(self, data: Splits) -> int:
        members = len(np.unique(self._units(data.members)))
        return min(super().count(data), max(members // (4 * max(self.copies, 1)), 20))

    def _draw(self, pool: Records, chosen: Array, trained: Array, secret: Array, rng: Generator) -> Draw:
        draw = super()._draw(pool, chosen, trained, secret, rng)
        assert isinstance(draw.question, WhoWasIn)
        asked = draw.question.records
        question = WhoWasInPoisoned(asked, other_labels(asked.y, pool.y, rng), self.copies)
        return replace(draw, train=concat([question.poison, draw.train]), question=question)
