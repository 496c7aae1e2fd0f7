"""Linear models at the minimum of their training loss: what they say of the sum over all training records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array
from scipy.special import expit, softmax
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge

from safelight.targets.sklearn import class_numbers

KINDS = (LogisticRegression, LinearRegression, Ridge, PoissonRegressor)


@dataclass(frozen=True)
class Glm:
    """A generalised linear model with its canonical link.

    With m(x) the expected outcome, the training loss is least where, over all n training records,
    sum_i (m(x_i) - y_i) x_i + pull = 0 and, since offsets are not penalised, sum_i (m(x_i) - y_i) = 0.

    Attributes:
        weights: (k, d); k is 1 for regression and for two classes.
        offsets: (k,).
        mean: the inverse link, from (n, k) to (n, k).
        pull: gradient of the penalty (k, d), in the units of a loss summed over records.
        numbers: class number of each of the model's own classes; empty for regression.
    """

    weights: Array
    offsets: Array
    mean: Callable[[Array], Array]
    pull: Array
    numbers: Array

    def expected(self, x: Array) -> Array:
        """Return m(x) (n, k) for features x (n, d)."""
        return self.mean(x @ self.weights.T + self.offsets)

    def outcomes(self, y: Array) -> Array:
        """Return y (n,) as the model fits it: (n, k), 0 or 1 for classes."""
        if not len(self.numbers):
            return y[:, None].astype(float)
        each = (y[:, None] == self.numbers).astype(float)
        return each[:, 1:] if len(self.numbers) == 2 else each

    def label(self, residual: Array, x: Array, sure: bool) -> float:
        """Return the label of a record x (d,) from its residual m(x) - y (k,).

        Args:
            residual: negative for the true class alone.
            x: the record's features.
            sure: whether x was not solved for; then the class is the one nearest to m(x) - residual, which bears more
                error in the residual than its sign does. One solved for is off wherever the residual is.
        """
        expected = self.expected(x[None])[0]
        if not len(self.numbers):
            return float((expected - residual)[0])
        if len(self.numbers) == 2:
            return float(self.numbers[int((expected[0] if sure else 0.5) - residual[0] > 0.5)])
        return float(self.numbers[int(((expected if sure else 0.0) - residual).argmax())])


def why_not(model: Any) -> str:
    """Return why the fitted estimator has no such closed form, or an empty string."""
    name = type(model).__name__
    if type(model) not in KINDS:
        known = ", ".join(kind.__name__ for kind in KINDS)
        return f"it solves {known}, and the target is a {name}"
    if not model.fit_intercept:
        return f"it reads the scale of the record from the intercept, and the {name} has none"
    if getattr(model, "positive", False):
        return f"weights forced to be positive ({name}, positive=True) need not be where the gradient is 0"
    if isinstance(model, LogisticRegression):
        if model.solver == "liblinear":
            return "the solver liblinear penalises the intercept, and fits several classes apart from each other"
        if _penalty(model) is None:
            return "an L1 penalty has no gradient where a weight is 0"
        if model.class_weight is not None:
            return "class weights are not undone"
    return ""


def read(model: Any, records: int, classes: tuple[str, ...]) -> Glm:
    """Read a fitted estimator for which `why_not` is silent.

    Args:
        model: one of `KINDS`.
        records: how many it was trained on.
        classes: the target's names of its classes.
    """
    weights, offsets = np.atleast_2d(model.coef_).astype(float), np.atleast_1d(model.intercept_).astype(float)
    numbers = class_numbers(model.classes_, classes) if hasattr(model, "classes_") else np.empty(0, dtype=int)
    if isinstance(model, LogisticRegression):
        mean, strength = (expit if len(weights) == 1 else _softmax), _penalty(model) or 0.0
    elif isinstance(model, PoissonRegressor):
        mean, strength = _exponential, model.alpha * records
    else:
        mean, strength = _identity, getattr(model, "alpha", 0.0)
    return Glm(weights, offsets, mean, strength * weights, numbers)


def _penalty(model: LogisticRegression) -> float | None:
    """Return 1 / C, 0 without a penalty, or None for one that is not L2."""
    kind = getattr(model, "penalty", "deprecated")
    if kind is None or np.isinf(model.C):
        return 0.0
    if kind == "l2" or not model.l1_ratio:
        return None if kind == "l1" else 1 / float(model.C)
    return None


def _softmax(logits: Array) -> Array:
    return softmax(logits, axis=1)


def _exponential(values: Array) -> Array:
    return np.exp(np.minimum(values, 700.0))


def _identity(values: Array) -> Array:
    return values
