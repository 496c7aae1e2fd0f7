"""Draw records of a table so that a given share of them holds one value, and nothing else differs but by chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.errors import InputError

TRIES = 100


def most_with_shares(records: Records, column: str, value: Any, shares: Array) -> int:
    """Return how many records can be drawn, whichever of `shares` (k,), each in (0, 1), is to hold `value`."""
    holding = int((records.x[column] == value).sum())
    return int(min(holding / np.max(shares), (len(records) - holding) / (1 - np.min(shares))))


def rows_with_share(records: Records, column: str, value: Any, share: float, count: int, rng: Generator) -> Array:
    """Return the positions (count,), rising, of records of which `share` hold `value` in `column`.

    Those that hold it, and those that do not, are drawn at random without repetition. A draw that lacks a class of
    `records` is drawn again: a model of it would have another number of classes.

    Raises:
        InputError: too few records hold the value, or do not; or a class is so rare that 100 draws lack it.
    """
    held = (records.x[column] == value).to_numpy()
    inside = round(share * count)
    groups = ((np.flatnonzero(held), inside), (np.flatnonzero(~held), count - inside))
    if any(len(rows) < wanted for rows, wanted in groups):
        raise InputError(
            f"Of {len(records)} records {int(held.sum())} hold {value!r} in {column!r}: not enough of both kinds for "
            f"{count} records with a share of {share:g}; ask for fewer records or another share."
        )
    kinds = np.unique(records.y) if np.asarray(records.y).dtype.kind != "f" else np.empty(0, dtype=int)
    for _ in range(TRIES):
        rows = np.sort(np.concatenate([rng.choice(rows, wanted, replace=False) for rows, wanted in groups]))
        if np.isin(kinds, records.y[rows]).all():
            return rows
    raise InputError(
        f"{TRIES} draws of {count} from {len(records)} records each lacked a class; give more of the rarest class."
    )
