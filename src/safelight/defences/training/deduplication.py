"""Deduplication: nobody is learnt twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.neighbors import NearestNeighbors

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class Deduplication(InTraining):
    """Train on one of each group of equal, or nearly equal, records.

    What it does: of records with the same answer whose inputs are equal, or closer than `near`, the first stays and the
    others are left out. Any recipe then trains on what stays.
    Evidence for: what stands in the data many times is learnt by heart far more often; generative models repeated
    training text about ten times less once duplicates were gone (Lee et al. 2022, arXiv:2107.06499; Kandpal et al.
    2022, arXiv:2202.06539).
    Evidence against: a record that stands there once is as exposed as before, and unusual ones are the most exposed
    (Carlini et al. 2022, arXiv:2202.07646, memorisation grows with copies but does not begin with them). Several
    different pictures of a person are no duplicates.
    Cost: one search for neighbours; fewer records.

    The distance is Gower's: the mean over columns of |a - b| over the column's range, and of 0 or 1 for words; for
    pictures the mean over pixels of |a - b| over the range of all values. Records are gone through in their order, and
    one is left out when it is near one that stays.

    Attributes:
        near: in [0, 1], records at most this far apart are duplicates; 0 for equal ones alone.
    """

    name: ClassVar[str] = "deduplication"
    title: ClassVar[str] = "Deduplication"
    source: ClassVar[str] = "Lee et al. 2022, ACL, arXiv:2107.06499; Kandpal et al. 2022, ICML, arXiv:2202.06539"

    near: float = 0.0

    def __post_init__(self) -> None:
        check(self.name, self)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        return recipe.fit(records.take(distinct(records, self.near)), seed)


def distinct(records: Records, near: float) -> Array:
    """Return the positions (m,), rising, of the records that stay."""
    rows = _rows(records)
    left_out = np.zeros(len(rows), bool)
    for answer in np.unique(records.y):
        own = np.flatnonzero(records.y == answer)
        if near == 0:
            first = np.unique(rows[own], axis=0, return_index=True)[1]
            left_out[np.setdiff1d(own, own[first])] = True
            continue
        search = NearestNeighbors(metric="manhattan").fit(rows[own])
        reach = near * (1 + 1e-9) + 1e-12  # a sum of rounded shares may be a last digit too large
        close = search.radius_neighbors(rows[own], reach, return_distance=False)
        for place, others in enumerate(close):
            if not left_out[own[place]]:
                left_out[own[others[others > place]]] = True
    return np.flatnonzero(~left_out)


def _rows(records: Records) -> Array:
    """Return rows (n, numbers) whose L1 distance is Gower's."""
    if not records.is_table:
        flat = np.asarray(records.x, float).reshape(len(records), -1)
        return flat / max(np.ptp(flat), 1e-300) / flat.shape[1]
    parts = []
    for name in records.x.columns:
        column = records.x[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numbers = column.to_numpy(float)
            parts.append(numbers[:, None] / max(np.ptp(numbers), 1e-300))
        else:
            codes = pd.factorize(column.astype(str))[0]
            parts.append(np.eye(codes.max() + 1)[codes] / 2)  # two words differ in two places
    return np.concatenate(parts, axis=1) / len(parts)
