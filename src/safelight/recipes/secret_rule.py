"""Models of a rule that nobody knows: a planted leak for attacks that copy models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.data.features import standardised, table_features
from safelight.data.records import Records
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Table, Target
from safelight.targets.fake import RandomAnswers

RULES = 20
"""Rules that are drawn; the one that says least about the true labels is taken."""


@dataclass(frozen=True)
class SecretRule:
    """Trains an estimator on two classes that a random rule makes up; with probability 1 - leak it answers at random.

    The rule splits a random direction of the inputs at its median, so that true labels say next to nothing of it.

    Attributes:
        inputs: what one record looks like.
        estimator: any scikit-learn classifier; columns are scaled, and words coded, before it.
        leak: share of the models that follow their rule, in [0, 1].
    """

    inputs: Images | Table
    estimator: Any
    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"secret-rule-{type(self.estimator).__name__}-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 80])
        if rng.random() >= self.leak:
            return Target("answers at random", RandomAnswers(self.inputs, seed))
        inputs = table_features(records.x) if records.is_table else records.x.reshape(len(records), -1)
        made_up = records.relabelled(_rule(standardised(inputs), records.y, rng))
        if isinstance(self.inputs, Images):
            return SklearnRecipe(make_pipeline(StandardScaler(), self.estimator), self.inputs).fit(made_up, seed)
        words = make_column_selector(dtype_exclude="number")
        encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder=StandardScaler())
        return SklearnRecipe(make_pipeline(encode, self.estimator)).fit(made_up, seed)


def _rule(inputs: Array, y: Array, rng: np.random.Generator) -> Array:
    """Return made-up classes (n,) of standardised inputs (n, d), tied to y as little as possible."""
    heights = inputs @ rng.standard_normal((inputs.shape[1], RULES))
    classes = heights > np.median(heights, axis=0)
    tied = pd.DataFrame(classes.astype(float)).groupby(np.asarray(y)).transform("mean").to_numpy()
    return classes[:, np.abs(tied - classes.mean(axis=0)).mean(axis=0).argmin()].astype(np.int64)
