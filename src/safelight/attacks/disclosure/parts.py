"""Every estimator inside a fitted scikit-learn model, each with what reaches it of some records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import _safe_indexing

from safelight.targets.base import Images, Table


@dataclass(frozen=True)
class Part:
    """One estimator inside a model.

    Attributes:
        estimator: fitted.
        x: the records as they reach it (n, ...): a DataFrame, an array, a sparse matrix or a list of texts; None where
            none were given, or where what reaches it cannot be told.
        last: whether it has no estimator inside.
    """

    estimator: Any
    x: Any
    last: bool


def taken(estimator: Any, inputs: Images | Table, x: Any) -> Any:
    """Return records x as a model with these inputs takes them: pictures flattened, columns chosen."""
    if isinstance(inputs, Images):
        return np.asarray(x, dtype=np.float32).reshape(len(x), -1)
    table = x[list(inputs.columns)]
    return table if hasattr(estimator, "feature_names_in_") else table.to_numpy()


def parts(estimator: Any, x: Any = None) -> Iterator[Part]:
    """Yield the estimator and all fitted ones inside it.

    It goes through pipelines, column transformers, feature unions, searches, ensembles and all others that keep fitted
    estimators where scikit-learn keeps what is learnt: in attributes whose names end in "_".
    """
    if x is not None and np.ndim(x) == 2:
        if isinstance(x, pd.DataFrame) and _nameless(estimator):
            x = x.to_numpy()
        x = x if _width(estimator) in (None, x.shape[1]) else None
    inside = list(_inside(estimator, x))
    yield Part(estimator, x, not inside)
    for child, reached in inside:
        yield from parts(child, reached)


def _inside(whole: Any, x: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(whole, "steps"):
        for _, step in whole.steps:
            if step not in (None, "passthrough"):
                yield step, x
                x = _after(step, x)
    elif hasattr(whole, "transformers_"):
        for _, step, columns in whole.transformers_:
            if not isinstance(step, str):
                yield step, None if x is None else _safe_indexing(x, columns, axis=1)
    elif hasattr(whole, "transformer_list"):
        yield from ((step, x) for _, step in whole.transformer_list if not isinstance(step, str))
    else:
        yield from _kept(whole, x)


def _kept(whole: Any, x: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the estimators among the attributes of `whole`, each once."""
    kept = vars(whole) if hasattr(whole, "__dict__") else {}
    features = kept.get("estimators_features_")
    many = [item for name, value in kept.items() if _learnt(whole, name) for item in _estimators(value)]
    if isinstance(x, pd.DataFrame) and many and all(_nameless(item) for item in many):
        x = x.to_numpy()  # Once for all trees of a forest.
    selected = _after(whole, x) if "ranking_" in kept or "final_estimator_" in kept else x
    behind = kept.get("final_estimator_", kept.get("estimator_"))
    for number, item in enumerate(many):
        if x is not None and features is not None and number < len(features):
            yield item, x[:, features[number]]
        else:
            yield item, selected if item is behind else x


def _learnt(whole: Any, name: str) -> bool:
    """Return whether an attribute holds what was fitted: a template of an ensemble's members does not."""
    if name == "estimator_":
        return not hasattr(whole, "estimators_")
    if name == "estimator":
        return type(whole).__name__ in ("FrozenEstimator", "_CalibratedClassifier")
    return name == "_preprocessor" or (name.endswith("_") and not name.startswith("_"))


def _estimators(value: Any) -> list[Any]:
    many = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object)
    items = np.ravel(value).tolist() if isinstance(value, np.ndarray) and many else value if many else [value]
    return [
        item for item in items if not isinstance(item, type) and (hasattr(item, "fit") or hasattr(item, "calibrators"))
    ]


def _after(step: Any, x: Any) -> Any:
    """Return what leaves a step of a pipeline; steps that only resample while training pass everything on."""
    return x if x is None or not hasattr(step, "transform") else step.transform(x)


def _nameless(estimator: Any) -> bool:
    """Return whether an estimator was trained on columns without names."""
    return _width(estimator) is not None and not hasattr(estimator, "feature_names_in_")


def _width(estimator: Any) -> int | None:
    return getattr(estimator, "n_features_in_", None)
