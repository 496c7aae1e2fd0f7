"""Shadow models as targets: what is chosen on them is chosen before the real target is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Shadows


@dataclass(frozen=True)
class HeldOut:
    """All shadows of a pool but one pair: what an attacker has whose target is a shadow of that pair.

    Both of the pair are left out. The records that one was trained on are exactly those that its partner was not, so
    how many of the other shadows saw a record would tell on which side of the pair it is.

    Attributes:
        pool: where the shadows come from.
        total: how many shadows there are, an even number.
        pair: number of the pair that is left out, from 0.
    """

    pool: Shadows
    total: int
    pair: int

    def answers(self, train: Records, count: int, asked: Records | None = None) -> tuple[Array, Array]:
        """Return what the other shadows answer, all of them whatever `count`; see `safelight.targets.base.Shadows`."""
        answers, inside = self.pool.answers(train, self.total, asked)
        others = np.arange(self.total) // 2 != self.pair
        return answers[others], inside[others]
