"""Was this canary in the training data? Made to be memorised, so that the worst case is looked at, not the average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.coins.records import in_or_out
from safelight.data.canaries import CanaryKind, canaries
from safelight.data.records import Records, Splits, concat
from safelight.evidence import WhichCanaries


@dataclass(frozen=True)
class CanaryCoins:
    """Turns records into canaries, as many of each kind, and flips for each whether it is trained.

    The records are taken out of the members and nonmembers; all other members are trained as they are. The surest
    guesses are taken over all kinds together, so that they fall on the kinds that this recipe memorises most, and no
    choice of a kind has to be paid for.

    Attributes:
        kinds: of canaries.
        copies: how often a duplicated canary is trained.
        most: coins a run, at the most; never more than an eighth of all records.
        share: share of the coins that is guessed.
    """

    kinds: tuple[CanaryKind, ...] = tuple(CanaryKind)
    copies: int = 4
    most: int = 400
    share: float = 0.25
    name: str = "canaries"
    claim: str = "membership"
    unit: str = "canary"
    adjacency: str = "add-remove"

    def why_not(self, data: Splits) -> str:
        least = 8 * 5 * len(self.kinds)
        records = len(data.everyone)
        return "" if records >= least else f"canaries of {len(self.kinds)} kinds need {least} records, of {records}"

    def count(self, data: Splits) -> int:
        return min(self.most, len(data.everyone) // 8) // len(self.kinds) * len(self.kinds)

    def flip(self, data: Splits, rng: Generator) -> Draw:
        rest, asked, kind = self._make(data, rng)
        secret = rng.integers(0, 2, len(asked))
        times = np.where(kind == self._duplicated, self.copies, 1) * secret
        train = concat([rest, asked.take(np.repeat(np.arange(len(asked)), times))])
        return self._draw(train, asked, kind, secret, rng)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        rest, asked, kind = self._make(data, rng)
        return self._draw(rest, asked, kind, rng.integers(0, 2, len(asked)), rng)

    @property
    def _duplicated(self) -> int:
        return self.kinds.index(CanaryKind.DUPLICATED) if CanaryKind.DUPLICATED in self.kinds else -1

    def _make(self, data: Splits, rng: Generator) -> tuple[Records, Records, Array]:
        """Return the other members, the canaries in a random order, and the number of each one's kind (m,)."""
        pool = data.everyone
        chosen = rng.choice(len(pool), self.count(data), replace=False)
        rest = np.setdiff1d(np.arange(len(data.members)), chosen)
        parts = np.split(chosen, len(self.kinds))
        made = concat([canaries(pool.take(rows), kind, rng) for kind, rows in zip(self.kinds, parts)])
        order = rng.permutation(len(made))
        return pool.take(rest), made.take(order), np.repeat(np.arange(len(parts)), len(parts[0]))[order]

    def _draw(self, train: Records, asked: Records, kind: Array, secret: Array, rng: Generator) -> Draw:
        match = in_or_out(np.arange(len(asked)), rng.permutation(len(asked)))
        names = np.array([each.value for each in self.kinds])
        return Draw(train, WhichCanaries(asked), secret, 2, match, names[kind])
