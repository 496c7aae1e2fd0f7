"""Which half of a class's photos was trained? Beyond the class: do the very records show?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.classes import pair_match
from safelight.data.records import Splits
from safelight.evidence import WhatIsInside


@dataclass(frozen=True)
class HalfCoins:
    """Splits each class's photos at random into two halves; a coin decides which half is trained."""

    name: str = "halves"
    claim: str = "record"
    unit: str = "record"
    adjacency: str = "replace"
    share: float = 1.0

    def why_not(self, data: Splits) -> str:
        least = int(np.unique(data.members.y, return_counts=True)[1].min())
        return "" if least >= 6 else f"coins over halves need 6 records in every class and one class has {least}"

    def count(self, data: Splits) -> int:
        return len(np.unique(data.members.y))

    def flip(self, data: Splits, rng: Generator) -> Draw:
        parts = self._parts(data, rng, 2)
        secret = rng.integers(0, 2, len(parts))
        return self._draw(data, parts, np.concatenate([part[s] for part, s in zip(parts, secret)]), secret)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        parts = self._parts(data, rng, 3)
        trained = np.concatenate([part[2] for part in parts])
        return self._draw(data, [part[:2] for part in parts], trained, rng.integers(0, 2, len(parts)))

    def _parts(self, data: Splits, rng: Generator, count: int) -> list[list[Array]]:
        y = data.members.y
        parts = []
        for c in np.unique(y):
            rows = rng.permutation(np.flatnonzero(y == c))
            size = len(rows) // count
            parts.append([rows[i * size : (i + 1) * size] for i in range(count)])
        return parts

    def _draw(self, data: Splits, parts: list[list[Array]], rows: Array, secret: Array) -> Draw:
        members = data.members
        means = np.stack([[members.x[half].mean(axis=0) for half in part] for part in parts])
        numbers = np.searchsorted(np.unique(members.y), members.y)
        train = members.take(rows).relabelled(numbers[rows])
        return Draw(train, WhatIsInside(np.arange(len(parts))), secret, 2, pair_match(means))
