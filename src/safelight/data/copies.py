"""Which records are copies of one another: exact ones in tables, exact and near ones among pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from safelight.data.records import Records
from safelight.data.resize import shrink

NEAR = 0.1
"""Pictures are near copies when their distance is below this share of the typical distance between pictures."""

_SIDE = 16


def copies(records: Records, person: Array | None = None) -> Array:
    """Return a group number (n,) for each record, from 0: the records of one person, and copies, share a group.

    Rows of a table are copies when all inputs are equal, except combinations that more than 10 rows, and more than
    1 in 100, share: such a value is common, not copied. A chain of near copies that would hold more than a fifth of
    all pictures is not followed.

    Args:
        person: numbers (n,) of who the records are about, or None.
    """
    n = len(records)
    alike = _equal_rows(records.x) if records.is_table else _near_pictures(records.x)
    links = [alike] if person is None else [alike, np.asarray(person)]
    # Rows are linked through the numbers that they share: nodes are the rows, then the values of each numbering.
    starts = np.cumsum([n, *(link.max() + 1 for link in links)])
    ends = np.concatenate([start + link for start, link in zip(starts, links)])
    graph = coo_array((np.ones(len(ends)), (np.tile(np.arange(n), len(links)), ends)), shape=(starts[-1], starts[-1]))
    groups = connected_components(graph, directed=False)[1][:n]
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _equal_rows(frame: pd.DataFrame) -> Array:
    if not len(frame.columns):
        return np.arange(len(frame))
    group = frame.groupby(list(frame.columns), sort=False, dropna=False, observed=True).ngroup().to_numpy()
    return _without_large(group, max(10, len(frame) // 100))


def _near_pictures(images: Array) -> Array:
    """Return groups of pictures linked by small distances between their shrunken forms."""
    n, _, height, width = images.shape
    small = shrink(np.asarray(images, dtype=np.float32), (min(_SIDE, height), min(_SIDE, width))).reshape(n, -1)
    small = small - small.mean(axis=0)
    squares = (small**2).sum(axis=1)
    typical = 2 * squares.mean()  # mean squared distance of two pictures drawn at random
    first, second = [], []
    for start in range(0, n, 1000):
        block = small[start : start + 1000]
        distances = squares[start : start + 1000, None] + squares - 2 * (block @ small.T)
        left, right = np.nonzero(distances <= NEAR**2 * typical)
        first.append(left + start)
        second.append(right)
    graph = coo_array((np.ones(sum(map(len, first))), (np.concatenate(first), np.concatenate(second))), shape=(n, n))
    return _without_large(connected_components(graph, directed=False)[1], max(10, n // 5))


def _without_large(group: Array, most: int) -> Array:
    """Return the grouping with every group of more than `most` rows taken apart."""
    sizes = np.bincount(group)
    large = sizes[group] > most
    group = group.copy()
    group[large] = len(sizes) + np.arange(large.sum())
    return np.unique(group, return_inverse=True)[1].reshape(-1)
