"""Records that a model can only know by heart: the worst cases of memorisation."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records


class CanaryKind(Enum):
    """What makes a record a worst case (Aerni et al. 2024, arXiv:2404.17399, section 4)."""

    MISLABELLED = "mislabelled"
    BLANK = "blank"
    STRANGE = "out of distribution"
    DUPLICATED = "duplicated"


def canaries(records: Records, kind: CanaryKind, rng: Generator) -> Records:
    """Turn ordinary records into canaries of one kind, with the same ids.

    - Mislabelled: the label becomes another one, drawn at random (for regression that of another record).
    - Blank: all pixels get one grey level, another one for each canary; a table row keeps one column in four and holds
      the most typical value elsewhere. The label is drawn at random.
    - Out of distribution: the pixels of each picture are shuffled; each column of a table is shuffled by itself. Every
      value is one that occurs, their combination is none that does. The label is drawn at random.
    - Duplicated: the records themselves; who trains on them repeats them.

    Args:
        records: n ordinary records.
        rng: draws labels, levels and orders.
    """
    if kind is CanaryKind.DUPLICATED:
        return records
    x = {CanaryKind.MISLABELLED: lambda: records.x, CanaryKind.BLANK: lambda: _blank(records.x, rng),
         CanaryKind.STRANGE: lambda: _strange(records.x, rng)}[kind]()  # fmt: skip
    y = other_labels(records.y, records.y, rng) if kind is CanaryKind.MISLABELLED else rng.permutation(records.y)
    return Records(x, y, records.ids, records.person, records.group)


def other_labels(y: Array, among: Array, rng: Generator) -> Array:
    """Return a wrong label for each of y (n,), drawn from those of `among` (m,); for regression that of another."""
    if y.dtype.kind == "f":
        return np.roll(y, 1) if len(y) else y
    present = np.unique(among)
    if len(present) < 2:
        return y
    place = np.searchsorted(present, y)
    return present[(place + rng.integers(1, len(present), len(y))) % len(present)]


def _blank(x: object, rng: Generator) -> object:
    if isinstance(x, pd.DataFrame):
        usual = {column: _typical(x[column]) for column in x.columns}
        kept = rng.permuted(np.tile(np.arange(x.shape[1]), (len(x), 1)), axis=1) < -(-x.shape[1] // 4)
        return pd.DataFrame({
            column: x[column].where(pd.Series(kept[:, place], index=x.index), usual[column]).astype(x[column].dtype)
            for place, column in enumerate(x.columns)
        })  # fmt: skip
    pictures = np.asarray(x)
    levels = rng.permutation(np.linspace(pictures.min(), pictures.max(), len(pictures), dtype=pictures.dtype))
    return np.broadcast_to(levels[:, None, None, None], pictures.shape).copy()


def _typical(column: pd.Series) -> object:
    """Return the lower median of numbers, or else the most frequent value: a value that occurs."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.quantile(0.5, interpolation="lower")
    return column.mode().iloc[0]


def _strange(x: object, rng: Generator) -> object:
    if isinstance(x, pd.DataFrame):
        return pd.DataFrame({column: rng.permutation(x[column].to_numpy()) for column in x.columns}).astype(x.dtypes)
    pictures = np.asarray(x)
    return rng.permuted(pictures.reshape(len(pictures), -1), axis=1).reshape(pictures.shape)
