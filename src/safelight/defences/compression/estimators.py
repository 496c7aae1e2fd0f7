"""Which scikit-learn estimators hold weights that can be compressed, and where."""

from __future__ import annotations

from typing import Any

from numpy import ndarray as Array
from sklearn.linear_model._base import LinearClassifierMixin, LinearModel
from sklearn.neural_network import MLPClassifier, MLPRegressor

KINDS = (LinearClassifierMixin, LinearModel, MLPClassifier, MLPRegressor)


def last_step(estimator: Any) -> Any:
    """Return the estimator at the end of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator


def has_weights(estimator: Any) -> bool:
    """Return whether a fitted estimator of this kind is linear or a perceptron."""
    return isinstance(last_step(estimator), KINDS)


def weights_of(fitted: Any) -> list[Array]:
    """Return the weights of a fitted estimator: (outputs, inputs) each, to be read or changed in place."""
    last = last_step(fitted)
    if hasattr(last, "coefs_"):
        return [layer.T for layer in last.coefs_]
    return [last.coef_ if last.coef_.ndim == 2 else last.coef_[None]]


def offsets_of(fitted: Any) -> list[Any]:
    """Return the offsets of a fitted estimator."""
    last = last_step(fitted)
    return list(last.intercepts_) if hasattr(last, "intercepts_") else [last.intercept_]
