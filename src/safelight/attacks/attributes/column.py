"""The blanked column: putting a value in, and telling which value a record holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import InputError


def filled(x: pd.DataFrame, column: str, value: Any, values: Array) -> pd.DataFrame:
    """Return `x` (n rows) with `value` in every row of `column`, stored the way the data stores it.

    Args:
        x: the table; what `column` holds in it does not matter.
        column: name of the blanked column.
        value: one of `values`.
        values: all values that the column can take (k,).

    Raises:
        InputError: the table has no such column, or a categorical column does not know the value.
    """
    if column not in x.columns:
        raise InputError(
            f"The column {column!r} is not in the table, whose columns are {', '.join(map(str, x.columns))}; "
            "keep it there, blanked."
        )
    kept = x.copy(deep=False)
    kept[column] = pd.Series([value] * len(x), index=x.index, dtype=_dtype(x[column], values))
    return kept


def which(column: pd.Series, values: Array) -> Array:
    """Return the place in `values` of what each record holds (n,) int64, or -1 for any other value."""
    held = np.stack([(column == value).fillna(False).to_numpy(dtype=bool) for value in _plain(values)])
    return np.where(held.any(axis=0), held.argmax(axis=0), -1)


def marginal(records: Records, column: str, values: Array) -> Array:
    """Return how common each value is among `records`: (k,) float64, sums to 1, one count added to each value."""
    codes = which(records.x[column], values)
    counts = np.bincount(codes[codes >= 0], minlength=len(values)) + 1.0
    return counts / counts.sum()


def prior(public: Records | None, column: str, values: Array) -> Array:
    """Return the marginal of `column` (k,), or equal chances for an attacker without public records."""
    return np.full(len(values), 1 / len(values)) if public is None else marginal(public, column, values)


def _plain(values: Array) -> list[Any]:
    return np.asarray(values).tolist()


def _dtype(blanked: pd.Series, values: Array) -> Any:
    if isinstance(blanked.dtype, pd.CategoricalDtype):
        unknown = [value for value in _plain(values) if value not in blanked.dtype.categories]
        if unknown:
            raise InputError(
                f"The categorical column {blanked.name!r} does not know the value {unknown[0]!r}; "
                "add it to its categories."
            )
        return blanked.dtype
    natural = pd.Series(_plain(values)).dtype
    if blanked.dtype == object or (blanked.dtype.kind == "f" and natural.kind in "iub"):
        return natural  # Blanking with NaN turns whole numbers into floats.
    try:
        kept = pd.Series(_plain(values)).astype(blanked.dtype)
    except (TypeError, ValueError):
        return natural
    return blanked.dtype if kept.tolist() == _plain(values) else natural
