"""What may change in records from one look to the next: all of a picture, or the numbers of a table's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

Edit = tuple[int, int, int]
"""Which of some records, which column, and which record of the table its value is taken from."""


@dataclass(frozen=True)
class Values:
    """Records, and how large their values are.

    Attributes:
        x: all of them: pictures (n, channels, height, width), or a table.
        columns: positions of a table's numbers; () for pictures.
        low, high: least and largest value: () of a picture, (v,) of v numbers.
        size: the range of a picture, or the mean size of each number (v,).
        whole: (v,) bool, which numbers are whole; (0,) for pictures.
    """

    x: Any
    columns: tuple[int, ...]
    low: Array
    high: Array
    size: Array
    whole: Array

    @classmethod
    def of(cls, x: Any) -> Values:
        """Return what may change in records x."""
        if not isinstance(x, pd.DataFrame):
            low, high = np.array(float(x.min())), np.array(float(x.max()))
            return cls(x, (), low, high, high - low, np.zeros(0, bool))
        found = [(place, column) for place, (_, column) in enumerate(x.items())
                 if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)]  # fmt: skip
        columns = tuple(place for place, _ in found)
        numbers = x.iloc[:, list(columns)].to_numpy(float)
        whole = np.array([column.dtype.kind in "iu" for _, column in found], bool)
        size = np.abs(numbers).mean(axis=0) + 1e-9
        return cls(x, columns, numbers.min(axis=0), numbers.max(axis=0), size, whole)

    @property
    def pictures(self) -> bool:
        """Whether the records are pictures."""
        return not isinstance(self.x, pd.DataFrame)

    @property
    def unit(self) -> Array:
        """(v,) the smallest step that a person would make: one of a whole number, a twentieth of any other's size."""
        return np.where(self.whole, 1.0, self.size / 20)

    def take(self, rows: Array) -> Array:
        """Return the values of records at rows (m,): (m, channels, height, width), or (m, v)."""
        if self.pictures:
            return np.array(self.x[rows])
        return self.x.iloc[rows, list(self.columns)].to_numpy(float, copy=True)

    def put(self, rows: Array, values: Array, edits: Sequence[Edit] = ()) -> Any:
        """Return the records at rows (m,) with other values (m, ...), and some fields from other records.

        Whole numbers stay whole, and columns keep their types.
        """
        if self.pictures:
            return values.astype(self.x.dtype)
        table = self.x.iloc[rows].reset_index(drop=True)
        columns = {place: table.iloc[:, place].to_numpy(copy=True) for place in range(table.shape[1])}
        for number, place in enumerate(self.columns):
            column = values[:, number].round() if self.whole[number] else values[:, number]
            columns[place] = column.astype(columns[place].dtype)
        for record, place, other in edits:
            columns[place][record] = self.x.iat[other, place]
        made = {name: pd.Series(columns[place], dtype=self.x.dtypes.iloc[place])
                for place, name in enumerate(self.x.columns)}  # fmt: skip
        return pd.DataFrame(made)
