"""Attribute inference with a network in hand: a record that was learnt by heart is a peak among its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.neural_network import MLPClassifier, MLPRegressor

from safelight.attacks.attributes.ask import beliefs, columns_read
from safelight.attacks.attributes.column import filled
from safelight.attacks.attributes.fitted import unpacked
from safelight.attacks.attributes.pipeline import through
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhichValue
from safelight.recipes.memorising import MemorisingNetwork
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows

NONE = "the target is no scikit-learn model"


@dataclass(frozen=True)
class NeuronPeak:
    """Guess the value at which the network is surer of the true label than at points close by.

    What it shows: whether the inside of a neural network gives a sensitive value away, beyond what its scores do.
    Who could do it: anyone who holds the model file and knows the rest of a record and its true label.
    How to lower it: stop training earlier, use a smaller network or stronger regularisation, train with DP-SGD; do not
        publish the file, or leave the sensitive column out.

    A record that was learnt by heart is a peak: the network is sure of its label at the record, and less so around
    it. Where it is sure all around, that is what it knows of people in general. The belief in v is
    log(p(y | z_v) + s) - log(mean over neighbours of p(y | z_v + e) + s), with z_v what reaches the network's first
    layer when the column holds v, e normal noise, the same for every v, and s the smoothing. Behind an encoder such
    points are no records, so that only who has the network can ask there. For regression p is
    exp(-(y - f)^2 / (2 w^2)), f the answer and w its root mean square error at all neighbours: that is ours.

    On a survey (1,200 records, 300 coins, 100 surest guesses, means of 20 trainings) it was right in 87, 96 and 88 for
    a network of 64 neurons, one of two such layers and one behind one-hot columns; the scores alone (A002) in 82, 95
    and 78. The neurons that go most with a value among public records (Jayaraman and Evans 2022, arXiv:2209.01292)
    were right in 48 or 49: they tell what holds for everybody, as imputation does, and nothing of a value that a coin
    drew. So they are not used.

    Attributes:
        neighbours: points around each record (>= 1).
        distance: deviation of the noise, in deviations of each input over the records asked about (> 0).
        smoothing: added to each confidence (> 0), so that differences below it count little.
    """

    code: ClassVar[str] = "A007"
    title: ClassVar[str] = "Attribute from a network's peaks"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichValue
    source: ClassVar[str] = "Jayaraman et al. 2021, arXiv:2005.10881 (Merlin), on attributes"
    deep: ClassVar[bool] = False

    neighbours: int = 40
    distance: float = 0.3
    smoothing: float = 0.01

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        estimator = getattr(model, "estimator", None)
        return NONE if estimator is None else _unread(unpacked(estimator()).model)

    def planted(self, inputs: Images | Table, leak: float = 1.0) -> MemorisingNetwork:
        """Return a recipe whose networks learn a share of their records by heart."""
        return MemorisingNetwork(leak)

    def run(self, view: View, question: WhichValue, rng: Generator) -> Scores:
        """Return beliefs (n, k); raises AccessDenied below WEIGHTS and for models that are no networks."""
        columns = list(columns_read(view, question))
        try:
            fitted = unpacked(view.estimator())
        except AttributeError:
            raise AccessDenied(f"This attack reads neurons, and {NONE}.") from None
        reason = _unread(fitted.model)
        if reason:
            raise AccessDenied(f"This attack reads neurons: {reason}.")
        x, y, values = question.records.x, question.records.y, np.asarray(question.values)
        if view.classes:
            y = fitted.places(y, view.classes)
        frames = (filled(x, question.column, value, values)[columns] for value in values.tolist())
        features = np.stack([through(fitted.steps, frame) for frame in frames], axis=1)  # (n, k, features)
        step = self.distance * features.std(axis=(0, 1))

        def at(points: Array) -> Array:
            return _at(fitted.model, points, y)  # (n, k)

        own = at(features)
        noise = (rng.standard_normal((len(x), 1, len(step))) for _ in range(self.neighbours))
        around = np.stack([at(features + step * each) for each in noise])
        if not view.classes:
            spread = 2 * max(float(around.mean()), np.finfo(float).tiny)
            own, around = np.exp(-own / spread), np.exp(-around / spread)
        belief = np.log(own + self.smoothing) - np.log(around.mean(axis=0) + self.smoothing)
        return beliefs(question, np.arange(len(x)), belief)


def _unread(model: Any) -> str:
    """Return why there are no neurons to read, or an empty string."""
    if isinstance(model, (MLPClassifier, MLPRegressor)):
        return ""
    return f"it reads MLPClassifier and MLPRegressor, and the target is a {type(model).__name__}"


def _at(model: Any, points: Array, y: Array) -> Array:
    """Return the chance of each label, or for regression its squared error, (n, k) at points (n, k, features)."""
    rows = points.reshape(-1, points.shape[-1])
    named = getattr(model, "feature_names_in_", None)
    frame = rows if named is None else pd.DataFrame(rows, columns=named)
    if not hasattr(model, "classes_"):
        return (model.predict(frame).reshape(points.shape[:2]) - y[:, None]) ** 2  # type: ignore[no-any-return]
    chances = model.predict_proba(frame).reshape(*points.shape[:2], -1)
    # A class that the network never met has no chance anywhere.
    return np.where(y[:, None] < 0, 0.0, chances[np.arange(len(y)), :, y])
