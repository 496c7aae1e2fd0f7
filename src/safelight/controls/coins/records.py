"""Was this record, or this person, in the training data?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.data.records import Records, Splits
from safelight.evidence import Answer, Scores, WhoWasIn


@dataclass(frozen=True)
class RecordCoins:
    """Flips, for each of up to `most` units, whether it is trained; everything else of the members always is.

    Where people own several records, the unit is the person: all of their records go in, or none. The surest guesses
    are the highest scores (in) and the lowest (out), equally many of both.

    Attributes:
        person: whether the unit is a person.
        most: coins a run, at the most; never more than half of all units.
        share: share of the coins that is guessed.
    """

    person: bool = False
    most: int = 600
    share: float = 0.25
    name: str = "records"
    claim: str = "membership"
    adjacency: str = "add-remove"

    @property
    def unit(self) -> str:
        return "person" if self.person else "record"

    def why_not(self, data: Splits) -> str:
        units = self.count(data)
        return "" if units >= 20 else f"coins over {self.unit}s need at least 20 of them and one run has {units}"

    def count(self, data: Splits) -> int:
        return min(self.most, len(np.unique(self._units(data.everyone))) // 2)

    def flip(self, data: Splits, rng: Generator) -> Draw:
        pool = data.everyone
        chosen = self._choose(data, pool, rng)
        secret = rng.integers(0, 2, len(chosen))
        units = self._units(pool)
        always = np.flatnonzero(~np.isin(units, chosen) & (np.arange(len(pool)) < len(data.members)))
        inside = np.flatnonzero(np.isin(units, chosen[secret == 1]))
        return self._draw(pool, chosen, np.concatenate([always, inside]), secret, rng)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        pool = data.everyone
        chosen = self._choose(data, pool, rng)
        trained = np.flatnonzero(~np.isin(self._units(pool), chosen))
        return self._draw(pool, chosen, trained, rng.integers(0, 2, len(chosen)), rng)

    def _units(self, pool: Records) -> Array:
        return pool.person if self.person and pool.person is not None else np.arange(len(pool))

    def _choose(self, data: Splits, pool: Records, rng: Generator) -> Array:
        return rng.choice(np.unique(self._units(pool)), self.count(data), replace=False)

    def _draw(self, pool: Records, chosen: Array, trained: Array, secret: Array, rng: Generator) -> Draw:
        units = self._units(pool)
        asked = np.flatnonzero(np.isin(units, chosen))
        unit_of = {unit: number for number, unit in enumerate(chosen.tolist())}
        owner = np.array([unit_of[unit] for unit in units[asked].tolist()])
        match = in_or_out(owner, rng.permutation(len(chosen)))
        first = np.unique(owner, return_index=True)[1]
        group = None if pool.group is None else pool.group[asked[first]]
        return Draw(pool.take(trained), WhoWasIn(pool.take(asked)), secret, 2, match, group)


def in_or_out(owner: Array, ties: Array) -> Callable[[Answer], Array]:
    """Return the matcher that averages scores over each unit and centres their ranks: high is in, low is out.

    Args:
        owner: (n,) unit of each record.
        ties: (units,) order among units of equal score, drawn with the coins: half of a large tie is guessed in.
    """
    units = len(ties)

    def match(answer: Answer) -> Array:
        assert isinstance(answer, Scores)
        mean = np.bincount(owner, answer.values[:, 0], units) / np.bincount(owner, minlength=units)
        centred = np.empty(units)
        centred[np.lexsort((ties, mean))] = np.arange(units) - (units - 1) / 2
        return np.stack([-centred, centred], axis=1)

    return match
