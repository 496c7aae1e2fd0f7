"""The inputs that a thief can make up: rows of numbers that become records as the model takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.targets.base import Images, Table

LEAST = 20
"""Public records from which one sees what inputs look like."""


@dataclass(frozen=True)
class Space:
    """What public records show of the inputs.

    Attributes:
        x: the public records: one DataFrame, or images.
        rows: (n, c) the same as numbers: pixels, numeric columns as they are, words by their place in `levels`.
        levels: one array a column: the words of a column of words (or truth values), empty for numbers.
        values: the same words as they stand in the table.
        low, high: (c,) range of each column: that of the public records, of pictures that of the model's inputs.
    """

    x: Any
    rows: Array
    levels: tuple[Array, ...]
    values: tuple[Any, ...]
    low: Array
    high: Array

    @classmethod
    def of(cls, public: Records | None, inputs: Images | Table) -> Space:
        """Learn the space of a model's inputs from the public records that this attacker holds.

        Raises:
            AccessDenied: there are none.
            InputError: there are fewer than 20.
        """
        if public is None:
            raise AccessDenied("A model is copied by asking it about public records; name public data, and grant it.")
        x = public.x
        if len(x) < LEAST:
            raise InputError(f"This attack asks about at least {LEAST} public records, and there are {len(x)}.")
        if isinstance(inputs, Images):
            flat, ones = np.asarray(x, float).reshape(len(x), -1), np.ones(x[0].size)
            none = (np.empty(0),) * flat.shape[1]
            return cls(x, flat, none, none, ones * inputs.low, ones * inputs.high)
        columns = [x[name].iloc[:0] if _is_number(x[name]) else x[name] for name in x.columns]
        found = [np.unique(column.astype(str), return_index=True) for column in columns]
        levels = tuple(words for words, _ in found)
        rows = _numbers(x, levels)
        values = tuple(column.array.take(first) for column, (_, first) in zip(columns, found))
        return cls(x, rows, levels, values, np.nanmin(rows, axis=0), np.nanmax(rows, axis=0))

    @property
    def words(self) -> Array:
        """Whether each column (c,) holds words."""
        return np.array([len(levels) > 0 for levels in self.levels])

    @property
    def whole(self) -> Array:
        """Whether each column (c,) holds whole numbers."""
        if not isinstance(self.x, pd.DataFrame):
            return np.zeros(len(self.low), bool)
        return np.array([kind.kind in "iu" for kind in self.x.dtypes])

    def read(self, x: Any) -> Array:
        """Return records as numbers (n, c); a word that no public record has becomes -1."""
        if isinstance(x, pd.DataFrame):
            return _numbers(x[list(self.x.columns)], self.levels)
        return np.asarray(x, float).reshape(len(x), -1)

    def records(self, rows: Array) -> Any:
        """Return numbers (n, c) as records; values keep to their range, and whole numbers stay whole."""
        rows = np.clip(rows, self.low, self.high)
        if not isinstance(self.x, pd.DataFrame):
            return rows.reshape(len(rows), *self.x.shape[1:]).astype(np.float32)
        columns: dict[Any, Any] = {}
        for column, (name, kind), values in zip(rows.T, self.x.dtypes.items(), self.values):
            if len(values):
                columns[name] = values.take(np.round(column).astype(int))
            else:
                columns[name] = pd.array(np.round(column) if kind.kind in "iu" else column, dtype=kind)
        return pd.DataFrame(columns, copy=False)

    def sent(self, rows: Array) -> Array:
        """Return rows with the very values that the model will see of them."""
        return self.read(self.records(rows))

    def features(self, rows: Array) -> Array:
        """Return numbers (n, d): columns in deviations of the public records (0 if missing), and one column a word."""
        spread, words = np.nanstd(self.rows, axis=0), self.words
        scaled = (rows - np.nanmean(self.rows, axis=0)) / np.where(spread > 0, spread, 1.0)
        coded = [rows[:, [place]] == np.arange(len(levels)) for place, levels in enumerate(self.levels) if len(levels)]
        return np.hstack([np.nan_to_num(scaled[:, ~words]), *coded]).astype(float)

    def drawn(self, count: int, rng: Generator) -> Array:
        """Return made-up rows (count, c): each value is drawn on its own from the different ones of its column.

        Rare values come as often as others. A pixel that all public pictures agree in gets any value.
        """
        columns = []
        for column, low, high in zip(self.rows.T, self.low, self.high):
            values = np.unique(column[~np.isnan(column)])
            columns.append(rng.choice(values, count) if len(values) > 1 else rng.uniform(low, high, count))
        return np.column_stack(columns)

    def crossed(self, count: int, rng: Generator, share: float = 0.2) -> Array:
        """Return rows (count, c) of public records in which `share` of the values are those of another one."""
        one, other = (self.rows[rng.integers(0, len(self.rows), count)] for _ in range(2))
        return np.where(rng.random(one.shape) < share, other, one)


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _numbers(x: pd.DataFrame, levels: tuple[Array, ...]) -> Array:
    columns = [
        pd.Index(words).get_indexer(x[name].astype(str)) if len(words) else x[name].to_numpy(float)
        for name, words in zip(x.columns, levels)
    ]
    return np.column_stack(columns).astype(float)
