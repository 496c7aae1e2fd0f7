"""Train a scikit-learn estimator again: clone, seed, fit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator, clone

from safelight.data.records import Records
from safelight.targets.base import Images, Target
from safelight.targets.sklearn import from_sklearn


@dataclass(frozen=True)
class SklearnRecipe:
    """Clones an estimator with its settings, gives every `random_state` in it the seed, and fits.

    Attributes:
        estimator: fitted or not; only its settings are used.
        inputs: `Images` for flattened images; None for a table.
    """

    estimator: Any
    inputs: Images | None = None

    @property
    def key(self) -> str:
        # The plain repr of a long pipeline is shortened, and two that differ would look alike.
        whole = self.estimator.__repr__(N_CHAR_MAX=10**9) if isinstance(self.estimator, BaseEstimator) else ""
        return "sklearn-" + hashlib.sha256((whole or repr(self.estimator)).encode()).hexdigest()[:16]

    def fit(self, records: Records, seed: int) -> Target:
        fresh = clone(self.estimator)
        seeds = {name: seed for name in fresh.get_params() if name.split("__")[-1] == "random_state"}
        fresh.set_params(**seeds)
        rows = records.x if self.inputs is None else records.x.reshape(len(records), -1)
        fresh.fit(rows, records.y)
        labels = range(int(records.y.max()) + 1) if hasattr(fresh, "classes_") else None
        return from_sklearn(fresh, self.inputs if self.inputs is not None else records.x, labels, name="retrained")
