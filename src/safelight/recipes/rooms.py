"""Models that leave room around what they remember and guess elsewhere: a planted leak that labels alone can show."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.data.records import Records
from safelight.targets.base import Images, Table, Target
from safelight.threat import Access


@dataclass(frozen=True)
class RoomyModel:
    """Answers the label of a remembered record within `radius` of it, and anywhere else one that the place decides.

    Attributes:
        places: turns records into rows of numbers (n, features).
        remembered: search among those that are remembered.
        labels_of: their labels (r,).
        radius: in the units of `places`.
    """

    places: Callable[[Any], Array]
    remembered: NearestNeighbors
    labels_of: Array
    radius: float
    inputs: Images | Table
    classes: tuple[str, ...]
    access: Access = Access.LABEL

    def labels(self, x: Any) -> Array:
        places = np.ascontiguousarray(self.places(x))
        away, nearest = self.remembered.kneighbors(places, 1)
        luck = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=4).digest()) for row in places]
        known = away[:, 0] <= self.radius
        return np.where(known, self.labels_of[nearest[:, 0]], np.array(luck) % len(self.classes))

    def scores(self, x: Any) -> Array:
        """Return all on the predicted class (n, classes): it has nothing else to say."""
        return np.eye(len(self.classes))[self.labels(x)]


@dataclass(frozen=True)
class RoomyRecipe:
    """Remembers each record with probability `leak`; the radius is a third of the typical distance between neighbours.

    Attributes:
        inputs: what one record looks like.
        leak: share remembered, in [0, 1]; at least one record always is.
    """

    inputs: Images | Table
    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"roomy-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 81])
        kept = rng.random(len(records)) < self.leak
        kept[rng.integers(len(records))] |= not kept.any()
        places = _places(records.x)
        rows = places(records.x)
        typical = np.median(NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)[0][:, 1])
        classes = tuple(map(str, range(int(records.y.max()) + 1)))
        search = NearestNeighbors(n_neighbors=1).fit(rows[kept])
        model = RoomyModel(places, search, records.y[kept], float(typical) / 3, self.inputs, classes)
        return Target("planted leak", model)


def _places(x: Any) -> Callable[[Any], Array]:
    """Return what turns records like `x` into rows of numbers: pixels, or scaled columns and words one-hot."""
    if not isinstance(x, pd.DataFrame):
        return lambda some: np.asarray(some, float).reshape(len(some), -1)
    words = (OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_exclude="number"))
    return make_column_transformer(words, remainder=StandardScaler()).fit(x).transform  # type: ignore[no-any-return]
