"""A model of which only the answers are left, asked with the records themselves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.targets.base import Images, Table
from safelight.threat import Access


@dataclass(frozen=True)
class RecalledModel:
    """Looks each record up among those whose answers are known.

    Attributes:
        known: hash of a record -> its answer: probabilities (classes,), or a prediction for regression.
        inputs: what one record looks like.
        classes: names; () for regression.
    """

    known: dict[bytes, Array]
    inputs: Images | Table
    classes: tuple[str, ...]
    access: Access = Access.SCORES

    def scores(self, x: Any) -> Array:
        return self._answers(x)

    def labels(self, x: Any) -> Array:
        return self._answers(x).argmax(axis=1) if self.classes else self._answers(x)

    def _answers(self, x: Any) -> Array:
        try:
            return np.stack([self.known[name] for name in _names(x)])
        except KeyError:
            raise InputError("This model only answers for the records whose answers are on file.") from None


def recalled(x: Any, answers: Array, inputs: Images | Table, classes: tuple[str, ...]) -> RecalledModel:
    """Return the model that answers `answers` (n, classes), or (n,) for regression, for the records `x` (n)."""
    return RecalledModel(dict(zip(_names(x), answers)), inputs, classes)


def _names(x: Any) -> list[bytes]:
    if isinstance(x, pd.DataFrame):
        return [repr(row).encode() for row in x.itertuples(index=False, name=None)]
    rows = np.ascontiguousarray(np.asarray(x)).reshape(len(x), -1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
