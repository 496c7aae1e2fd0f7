"""Which of two records was the last one of the training data?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.data.records import Records, Splits
from safelight.evidence import Answer, Rebuilt, WhichIsMissing


@dataclass(frozen=True)
class MissingCoins:
    """Draws two members; a coin decides which is trained beside all others, and the attacker is given all others.

    One model carries one coin, so that it takes as many trainings as guesses. The rebuilt record is matched with both
    candidates: the belief is minus the root mean square distance, each column, and the label, in standard deviations
    of the known records (a class is right or 1 off).

    Attributes:
        share: share of the coins that is guessed.
    """

    name: str = "missing"
    claim: str = "record"
    unit: str = "record"
    adjacency: str = "replace"
    share: float = 1.0

    def why_not(self, data: Splits) -> str:
        members = data.members
        if len(members) < 10:
            return f"a record is rebuilt from the others, of which at least 9 are needed, and there are {len(members)}"
        if members.is_table:
            for name in members.x.columns:
                if not pd.api.types.is_numeric_dtype(members.x[name]):
                    return f"every column must be a number, and {name!r} is not"
        return ""

    def count(self, data: Splits) -> int:
        return 1

    def flip(self, data: Splits, rng: Generator) -> Draw:
        rows = rng.permutation(len(data.members))
        secret = rng.integers(0, 2, 1)
        return self._draw(data.members, rows[:2], rows[2:], rows[secret], secret)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        """A third record is the missing one."""
        rows = rng.permutation(len(data.members))
        return self._draw(data.members, rows[:2], rows[3:], rows[2:3], rng.integers(0, 2, 1))

    def _draw(self, members: Records, pair: Array, others: Array, missing: Array, secret: Array) -> Draw:
        known = members.take(np.sort(others))
        train = members.take(np.append(np.sort(others), missing))
        return Draw(train, WhichIsMissing(known), secret, 2, nearest(known, members.take(pair)))


def nearest(known: Records, candidates: Records) -> Callable[[Answer], Array]:
    """Return the matcher of one rebuilt record with k candidates: minus their distance (1, k)."""
    spread = _numbers(known).std(axis=0)
    unit = np.where(spread > 0, spread, 1.0)
    classes = candidates.y.dtype.kind in "iu"

    def match(answer: Answer) -> Array:
        assert isinstance(answer, Rebuilt)
        columns = (answer.x - _numbers(candidates)) / unit  # (k, d)
        label = answer.y - candidates.y
        label = (label != 0) if classes else label / (known.y.std() or 1.0)
        return -np.sqrt(np.mean(np.column_stack([columns, label]) ** 2, axis=1))[None]

    return match


def _numbers(records: Records) -> Array:
    x = records.x.to_numpy(float) if records.is_table else np.asarray(records.x, dtype=float)
    return x.reshape(len(records), -1)
