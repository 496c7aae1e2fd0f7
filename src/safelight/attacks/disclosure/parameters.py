"""How many numbers a model has learnt: what its degrees of freedom are counted from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.tree import BaseDecisionTree

from safelight.attacks.disclosure.parts import Part

NUMBERS = (
    ("coef_", "intercept_"),
    ("coefs_", "intercepts_"),
    ("dual_coef_", "intercept_"),
    ("dual_coef_",),
    ("theta_", "var_", "class_prior_"),
    ("feature_log_prob_", "class_log_prior_"),
    ("class_prior_",),
    ("constant_",),
)
"""What is learnt by linear models, networks, support vectors and kernels, naive Bayes and constant models; the first
that an estimator has is what counts."""


def count_parameters(parts: Iterable[Part]) -> tuple[int, tuple[str, ...]]:
    """Return how many numbers the predicting estimators of a model have learnt, and the kinds that are not counted.

    A tree counts one threshold a split and, a leaf, one value or one share a class but the last; k nearest neighbours
    of n records count n / k (Hastie, Tibshirani and Friedman 2009, section 2.3.3). Steps that prepare the records are
    not counted.
    """
    total, unknown = 0, []
    for part in parts:
        if part.last and hasattr(part.estimator, "predict"):
            learnt = parameters(part.estimator)
            total += learnt or 0
            unknown += [] if learnt is not None else [type(part.estimator).__name__]
    return total, tuple(dict.fromkeys(unknown))


def parameters(estimator: Any) -> int | None:
    """Return how many numbers one estimator has learnt, or None for a kind that is not known here."""
    if isinstance(estimator, BaseDecisionTree):
        tree = estimator.tree_
        return int(tree.node_count - tree.n_leaves + tree.n_leaves * max(tree.max_n_classes - 1, 1) * tree.n_outputs)
    if hasattr(estimator, "_predictors"):
        return sum(len(tree.nodes) for trees in estimator._predictors for tree in trees)
    if hasattr(estimator, "n_samples_fit_") and hasattr(estimator, "n_neighbors"):
        return int(estimator.n_samples_fit_ // estimator.n_neighbors)
    for names in NUMBERS:
        if all(hasattr(estimator, name) for name in names):
            return sum(_size(getattr(estimator, name)) for name in names)
    return None


def _size(learnt: Any) -> int:
    if isinstance(learnt, (list, tuple)):
        return sum(_size(each) for each in learnt)
    return int(np.prod(learnt.shape)) if hasattr(learnt, "shape") else 1
