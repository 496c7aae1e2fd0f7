"""The copy: a model of the attacker's own, taught with what the target answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.optimize import minimize
from sklearn.ensemble import ExtraTreesRegressor

from safelight.targets.base import softmax

Student = Callable[[Array], Array]
"""From features (n, d) to class scores (n, classes)."""

TREES = 100
FOLDS = 3


def taught(features: Array, answers: Array, rng: Generator) -> Student:
    """Return the better of two students, a linear softmax model and extremely randomised trees.

    Better is the smaller squared error in three folds; the winner is taught with all answers. Fewer than three answers
    cannot be judged, and teach the linear one.

    Args:
        features: (n, d) of the records that were asked about.
        answers: (n, classes) scores, or one 1 a row for a label.
    """
    seed = int(rng.integers(2**31))
    teachers = [linear, lambda inputs, wanted: _trees(inputs, wanted, seed)]
    fold = rng.permutation(len(features)) % FOLDS
    if len(features) < FOLDS:
        return linear(features, answers)
    errors = [
        sum(
            ((teach(features[fold != k], answers[fold != k])(features[fold == k]) - answers[fold == k]) ** 2).sum()
            for k in range(FOLDS)
        )
        for teach in teachers
    ]
    return teachers[int(np.argmin(errors))](features, answers)


def linear(features: Array, answers: Array, ridge: float = 1e-3) -> Student:
    """Return the softmax model with the least cross-entropy to the answers, plus ridge / 2 * |weights|^2 / n."""
    inputs = np.column_stack([features, np.ones(len(features))])
    shape, count = (inputs.shape[1], answers.shape[1]), len(inputs)

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shape)
        logits = inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        inner = weights * np.append(np.ones(shape[0] - 1), 0.0)[:, None]
        slope = inputs.T @ (np.exp(logs) * answers.sum(axis=1, keepdims=True) - answers) / count + ridge * inner
        return float(-(answers * logs).sum() / count + ridge / 2 * (inner**2).sum()), slope.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights = found.x.reshape(shape)
    return lambda asked: softmax(np.column_stack([asked, np.ones(len(asked))]) @ weights)


def _trees(features: Array, answers: Array, seed: int) -> Student:
    forest = ExtraTreesRegressor(TREES, max_features=0.5, random_state=seed).fit(features, answers)
    return lambda asked: np.asarray(forest.predict(asked)).reshape(len(asked), -1)
