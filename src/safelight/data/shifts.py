"""Pictures moved by whole pixels: what leaves at one edge comes back at the other, so that moving back restores all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import InputError


def shifts(reach: int) -> Array:
    """Return all moves ((2 reach + 1)^2, 2) of up to `reach` pixels (>= 0) down and right, the one that rests first."""
    steps = np.arange(-reach, reach + 1)
    ways = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    return ways[np.argsort(np.abs(ways).max(axis=1), kind="stable")]


def shifted(records: Records, ways: Array) -> Records:
    """Return each picture moved by its own way (n, 2), in pixels down and right; negative is up and left.

    Raises:
        InputError: the records are rows of a table.
    """
    if records.is_table:
        raise InputError(f"{len(records)} rows of a table cannot be moved by pixels; give pictures.")
    height, width = records.x.shape[2:]
    rows = (np.arange(height) - ways[:, :1]) % height
    columns = (np.arange(width) - ways[:, 1:]) % width
    place = np.arange(len(records))[:, None, None, None], np.arange(records.x.shape[1])[None, :, None, None]
    return replace(records, x=records.x[(*place, rows[:, None, :, None], columns[:, None, None, :])])
