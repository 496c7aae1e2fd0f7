"""A strong standard learner for one column: from the other columns and the label to a chance for each value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.data.records import Records


def others(records: Records, column: str) -> pd.DataFrame:
    """Return what is known of each record (n rows): the other columns and the label, without the secret column.

    Columns are renamed, and words become text, so that tables with numbers as column names or mixed types fit too.
    """
    table = {}
    for place, name in enumerate(name for name in records.x.columns if name != column):
        values = records.x[name]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        table[f"column {place}"] = values.to_numpy(float) if numeric else values.astype(str).to_numpy(object)
    table["label"] = records.y.astype(float) if records.y.dtype.kind == "f" else records.y.astype(str).astype(object)
    return pd.DataFrame(table)


def learn(known: pd.DataFrame, codes: Array, asked: pd.DataFrame, count: int, rng: Generator) -> Array:
    """Learn codes (m,) in 0..count-1 from `known` and return chances (n, count) for `asked`; rows sum to 1.

    The learner is whichever has the smaller log loss in three folds: logistic regression or boosted trees. A value
    that is never seen gets 0. With fewer than three records of a value no fold can be judged, and logistic regression
    is taken.
    """
    seed = int(rng.integers(2**31))
    candidates = [_learner(known, kind) for kind in (_logistic(), _boosted(seed))]
    chosen = candidates[0]
    if np.unique(codes, return_counts=True)[1].min() >= 3:
        folds = StratifiedKFold(3, shuffle=True, random_state=seed)
        losses = [
            -cross_val_score(candidate, known, codes, cv=folds, scoring="neg_log_loss").mean()
            for candidate in candidates
        ]
        chosen = candidates[int(np.argmin(losses))]
    chosen.fit(known, codes)
    chances = np.zeros((len(asked), count))
    chances[:, chosen.classes_] = chosen.predict_proba(asked)
    return chances


def _learner(known: pd.DataFrame, last: Any) -> Pipeline:
    words = [name for name in known.columns if known[name].dtype.kind not in "iuf"]
    numbers = [name for name in known.columns if name not in words]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=30, sparse_output=False)
    return make_pipeline(ColumnTransformer([("words", encoder, words), ("numbers", StandardScaler(), numbers)]), last)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=1000)


def _boosted(seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(learning_rate=0.05, max_leaf_nodes=15, random_state=seed)
