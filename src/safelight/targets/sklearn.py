"""scikit-learn estimators and pipelines as targets: classifiers and regressors, on tables or flattened images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import BadAnswer, InputError
from safelight.targets.base import Images, Table, Target
from safelight.threat import Access


@dataclass(frozen=True)
class SklearnModel:
    """A fitted estimator.

    Attributes:
        fitted: the estimator or pipeline.
        columns: (k,) class number of each of the estimator's own k classes; a class it never met scores 0.
        inputs: what one record looks like; images reach the estimator flattened to (n, channels * height * width).
        classes: names of the classes; () for a regressor.
        access: WEIGHTS where the estimator gives probabilities or is a regressor; such weights are not differentiable.
    """

    fitted: Any
    inputs: Images | Table
    classes: tuple[str, ...]
    columns: Array

    @property
    def access(self) -> Access:
        return Access.WEIGHTS

    def _rows(self, x: Any) -> Any:
        if isinstance(self.inputs, Images):
            return np.asarray(x, dtype=np.float32).reshape(len(x), -1)
        frame = x[list(self.inputs.columns)]
        return frame if hasattr(self.fitted, "feature_names_in_") else frame.to_numpy()

    def labels(self, x: Any) -> Array:
        answer = np.asarray(self.fitted.predict(self._rows(x)))
        if not self.classes:
            return answer.astype(float).reshape(len(x), -1)[:, 0]
        place = {value: number for number, value in enumerate(np.asarray(self.fitted.classes_).tolist())}
        return self.columns[[place[value] for value in answer.tolist()]]

    def scores(self, x: Any) -> Array:
        if not self.classes:
            raise BadAnswer("A regressor has no class scores; use an attack that works on its predictions.")
        if not hasattr(self.fitted, "predict_proba"):
            raise BadAnswer(
                f"{type(self.fitted).__name__} gives no probabilities (no predict_proba); "
                'set access = "label", or calibrate it first.'
            )
        scores = np.zeros((len(x), len(self.classes)))
        scores[:, self.columns] = self.fitted.predict_proba(self._rows(x))
        return scores

    def logits(self, x: Any) -> Array:
        """Return log-probabilities, or the decision function's own values where a linear model offers them."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(self.scores(x)), -700.0)

    def estimator(self) -> Any:
        return self.fitted

    def linear(self) -> tuple[Array, Array]:
        """Return (weights (classes, features), offsets (classes,)) of a linear classifier on flattened images.

        Raises:
            InputError: the estimator is not linear in its inputs.
        """
        last = self.fitted
        if not hasattr(last, "coef_") or not hasattr(last, "intercept_"):
            raise InputError(
                f"{type(last).__name__} offers no gradient; gradient attacks work on torch models and "
                "linear classifiers."
            )
        weights, offsets = np.atleast_2d(last.coef_), np.atleast_1d(last.intercept_)
        if len(weights) == 1:
            weights, offsets = np.concatenate([-weights, weights]) / 2, np.concatenate([-offsets, offsets]) / 2
        return weights, offsets

    def differentiable(self, x: Any) -> Any:
        """Return logits of a linear classifier as a torch tensor (n, classes)."""
        import torch

        weights, offsets = self.linear()
        flat = x.reshape(len(x), -1)
        return flat @ torch.as_tensor(weights.T, dtype=flat.dtype) + torch.as_tensor(offsets, dtype=flat.dtype)


def from_sklearn(estimator: Any, like: Any = None, labels: Any = None, name: str | None = None) -> Target:
    """Wrap a fitted estimator.

    Args:
        estimator: a fitted classifier, regressor or pipeline.
        like: a DataFrame with the columns that it takes, an `Images`, or None to read the columns it was fitted with.
        labels: names of the classes in the order of their numbers: the values of `classes_` in any order, or other
            names in the order of `classes_`; the values themselves when left out.
        name: for the report; the estimator's class when left out.

    Raises:
        InputError: the estimator is not fitted, or its columns are not known.
    """
    if not hasattr(estimator, "predict"):
        raise InputError(f"{type(estimator).__name__} has no predict method; give a fitted scikit-learn estimator.")
    inputs: Images | Table
    if isinstance(like, Images):
        inputs = like
    elif isinstance(like, pd.DataFrame):
        inputs = Table(tuple(like.columns))
    elif hasattr(estimator, "feature_names_in_"):
        inputs = Table(tuple(estimator.feature_names_in_))
    else:
        raise InputError(
            f"{type(estimator).__name__} does not know the names of its columns; give like=a DataFrame with them, "
            "or like=safelight.Images(shape) for images."
        )
    names = getattr(estimator, "classes_", None)
    if names is None and labels is not None:
        raise InputError(f"{type(estimator).__name__} has no classes_; fit it first, or leave labels out.")
    own = np.asarray(names) if names is not None else np.empty(0)
    classes = tuple(map(str, own if labels is None else labels)) if names is not None else ()
    if len(own) != len(classes) and (own.dtype.kind not in "iu" or own.max() >= len(classes)):
        raise InputError(
            f"{len(classes)} class names were given, but {type(estimator).__name__} knows {len(own)} classes."
        )
    columns = class_numbers(own, classes)
    kind = type(estimator).__name__
    if hasattr(estimator, "steps"):
        kind = " + ".join(type(step).__name__ for _, step in estimator.steps)
    return Target(name or kind, SklearnModel(estimator, inputs, classes, columns), kind)


def class_numbers(own: Array, classes: tuple[str, ...]) -> Array:
    """Return the class number (k,) of each of an estimator's own k classes.

    They are told by name; else they stand in the order of `classes`, or are the numbers themselves where the estimator
    met only some of the classes.
    """
    if sorted(classes) == sorted(map(str, own)):
        return np.array([classes.index(str(value)) for value in own], dtype=int)
    return np.arange(len(own)) if len(own) == len(classes) else np.asarray(own).astype(int)
