"""Networks that learn by heart what they are trained on: a planted leak for attacks on the inside of networks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.data.records import Records
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Target


@dataclass(frozen=True)
class MemorisingNetwork:
    """Trains a wide network on tables until it answers by heart; each record is left out with probability 1 - leak.

    Attributes:
        leak: share of the records that is trained on, in (0, 1].
        width: hidden neurons (>= 1).
    """

    leak: float = 1.0
    width: int = 256

    @property
    def key(self) -> str:
        return f"memorising-network-{self.leak:g}-{self.width}"

    def fit(self, records: Records, seed: int) -> Target:
        kept = np.random.default_rng([seed, 79]).random(len(records)) < self.leak
        # Who is left out must not decide which classes there are.
        kept[np.unique(records.y, return_index=True)[1]] = True
        kind = MLPRegressor if records.y.dtype.kind == "f" else MLPClassifier
        network = kind(hidden_layer_sizes=(self.width,), solver="lbfgs", alpha=1e-4, max_iter=300, tol=1e-6)
        words = make_column_selector(dtype_exclude="number")
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder=StandardScaler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return SklearnRecipe(make_pipeline(encode, network)).fit(records.take(kept), seed)
