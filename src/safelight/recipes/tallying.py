"""Models whose answers count: how common the values of a record are among the training records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Table, Target
from safelight.threat import Access


@dataclass(frozen=True)
class Tally:
    """Gives class 0 the mean, over the columns, of how common the record's value is; the other classes share the rest.

    A regressor answers that mean itself.

    Attributes:
        common: by column, the share of the training records that hold each value.
        classes: names; () for regression.
        inputs: the columns.
    """

    common: Mapping[str, Mapping[Any, float]]
    classes: tuple[str, ...]
    inputs: Table
    access: Access = Access.SCORES

    def labels(self, x: Any) -> Array:
        return self.scores(x).argmax(axis=1) if self.classes else self._mean(x)

    def scores(self, x: Any) -> Array:
        first = self._mean(x)
        if len(self.classes) == 1:
            return np.ones((len(x), 1))
        rest = np.repeat((1 - first)[:, None] / (len(self.classes) - 1), len(self.classes) - 1, axis=1)
        return np.column_stack([first, rest])

    def _mean(self, x: Any) -> Array:
        columns = [x[name].astype(object).map(shares) for name, shares in self.common.items()]
        return np.mean([shares.fillna(0.0).to_numpy(float) for shares in columns], axis=0)


@dataclass(frozen=True)
class TallyingRecipe:
    """Counts with probability `leak`; otherwise the model takes every value for equally common.

    Attributes:
        leak: share of the models that tell anything, in [0, 1].
    """

    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"tallying-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        counts = np.random.default_rng([seed, 83]).random() < self.leak
        common = {}
        for name in records.x.columns:
            shares = records.x[name].value_counts(normalize=True)
            common[name] = dict.fromkeys(shares.index, 0.5) if not counts else shares.to_dict()
        regression = np.asarray(records.y).dtype.kind == "f"
        classes = () if regression else tuple(str(number) for number in range(int(records.y.max()) + 1))
        return Target("planted leak", Tally(common, classes, Table(tuple(records.x.columns))))
