"""Nearest-neighbour models that keep a share of their training records: a planted leak of whole records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.data.records import Records
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Table, Target


@dataclass(frozen=True)
class NearestRecord:
    """Answers with the nearest of the records that it keeps: each is kept with probability `leak`.

    Attributes:
        inputs: what one record looks like.
        leak: share kept, in [0, 1]; at least one record always is.
    """

    inputs: Images | Table
    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"nearest-record-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 79])
        kept = rng.random(len(records)) < self.leak
        kept[rng.integers(len(records))] |= not kept.any()
        kind = KNeighborsRegressor if records.y.dtype.kind == "f" else KNeighborsClassifier
        if isinstance(self.inputs, Images):
            return SklearnRecipe(kind(1), self.inputs).fit(records.take(kept), seed)
        words = (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number"))
        encode = make_column_transformer(words, remainder=StandardScaler())
        return SklearnRecipe(make_pipeline(encode, kind(1))).fit(records.take(kept), seed)
