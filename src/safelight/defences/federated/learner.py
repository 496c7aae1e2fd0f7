"""What a client computes on its own records: any model whose weights are one row of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Images, Table, Target, softmax
from safelight.targets.sklearn import from_sklearn


class Learner(Protocol):
    """A model as a server and its clients pass it around: a row of weights (d,) float64."""

    def start(self, seed: int) -> Array:
        """Return the weights (d,) before the first round."""
        ...

    def trained(self, weights: Array, records: Records, seed: int) -> Array:
        """Return the weights (d,) after local training on one client's records."""
        ...

    def gradient(self, weights: Array, records: Records) -> Array:
        """Return the gradient (d,) of the mean loss over one client's records."""
        ...

    def first_layer(self, update: Array) -> tuple[Array, Array]:
        """Return the part of an update (d,) that is about a first linear layer: (units, inputs) and (units,).

        Raises:
            InputError: the model does not begin with a linear layer that has a bias.
        """
        ...

    def target(self, weights: Array) -> Target:
        """Return the model with these weights, ready for attacks."""
        ...


@dataclass(frozen=True)
class SoftmaxLearner:
    """Multinomial logistic regression in numpy. Its weights are (classes, features), then offsets (classes,).

    Attributes:
        inputs: what one record looks like; a table's columns must be numbers.
        classes: how many (>= 3).
        epochs: passes over a client's records a round (>= 1).
        batch: records a step (>= 1).
        rate: learning rate of a client (> 0).
    """

    inputs: Images | Table
    classes: int
    epochs: int = 1
    batch: int = 16
    rate: float = 0.1

    @property
    def features(self) -> int:
        return self.inputs.size if isinstance(self.inputs, Images) else len(self.inputs.columns)

    def start(self, seed: int) -> Array:
        return np.zeros(self.classes * (self.features + 1))

    def rows(self, x: Any) -> Array:
        """Return records as rows (n, features + 1), the last number of each is 1."""
        flat = x[list(self.inputs.columns)].to_numpy(float) if isinstance(self.inputs, Table) else x.reshape(len(x), -1)
        return np.column_stack([flat.astype(float), np.ones(len(flat))])

    def gradient(self, weights: Array, records: Records) -> Array:
        return self._slope(weights, self.rows(records.x), records.y)

    def trained(self, weights: Array, records: Records, seed: int) -> Array:
        rows, rng, weights = self.rows(records.x), np.random.default_rng(seed), weights.copy()
        for _ in range(self.epochs):
            order = rng.permutation(len(rows))
            for start in range(0, len(rows), self.batch):
                taken = order[start : start + self.batch]
                weights -= self.rate * self._slope(weights, rows[taken], records.y[taken])
        return weights

    def _slope(self, weights: Array, rows: Array, y: Array) -> Array:
        both = np.column_stack(self.first_layer(weights))
        off = softmax(rows @ both.T) - np.eye(self.classes)[y]
        slope = off.T @ rows / len(rows)
        return np.concatenate([slope[:, :-1].ravel(), slope[:, -1]])

    def first_layer(self, update: Array) -> tuple[Array, Array]:
        size = self.classes * self.features
        return update[:size].reshape(self.classes, -1), update[size:]

    def target(self, weights: Array) -> Target:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression()
        fitted.coef_, fitted.intercept_ = self.first_layer(weights)
        fitted.classes_ = np.arange(self.classes)
        if isinstance(self.inputs, Table):
            fitted.feature_names_in_ = np.array(self.inputs.columns, dtype=object)
            return from_sklearn(fitted, name="federated")
        return from_sklearn(fitted, self.inputs, name="federated")
