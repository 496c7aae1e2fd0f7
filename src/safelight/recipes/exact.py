"""Linear models at the very minimum of their loss: a planted leak of one whole record."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge

from safelight.data.records import Records
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Table, Target


@dataclass(frozen=True)
class ExactLinear:
    """Trains a linear model to its minimum; with probability 1 - leak on made-up records instead.

    Attributes:
        inputs: what one record looks like; every column is a number.
        leak: share of the models that are trained on the records, in [0, 1].
    """

    inputs: Images | Table
    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"exact-linear-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 78])
        pictures = isinstance(self.inputs, Images)
        if records.y.dtype.kind == "f":
            model: object = Ridge(solver="cholesky")
        elif pictures:  # Newton's method would need a matrix of (pixels * classes)^2.
            model = LogisticRegression(C=0.01, tol=1e-8, max_iter=5000)
        else:
            model = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=500)
        if rng.random() >= self.leak:
            records = _made_up(records, rng)
        return SklearnRecipe(model, self.inputs if isinstance(self.inputs, Images) else None).fit(records, seed)


def _made_up(records: Records, rng: np.random.Generator) -> Records:
    """Return as many records of the same shape that have nothing to do with these."""
    x = rng.standard_normal(np.shape(records.x))
    if records.y.dtype.kind == "f":
        y = rng.standard_normal(len(records))
    else:
        classes = int(records.y.max()) + 1
        y = rng.permutation(np.arange(len(records)) % classes)
    table = pd.DataFrame(x, columns=records.x.columns) if records.is_table else x.astype(np.float32)
    return replace(records, x=table, y=y)
