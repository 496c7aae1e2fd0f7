"""MemGuard: noise on scores that misleads one membership classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from safelight.data.records import Records
from safelight.defences.outputs.base import OnOutputs, per_input
from safelight.defences.outputs.consistent import of_its_own
from safelight.errors import InputError
from safelight.targets.base import Model

SMALLEST = 1e-12
"""Scores are clipped here, so that their logarithms stay finite."""


@dataclass(frozen=True)
class MemGuard(OnOutputs):
    """Move scores to where the owner's own membership classifier cannot decide.

    What it does: the owner trains a classifier that tells members from others by their sorted scores. Each answer is
    moved until that classifier says one half, with the predicted class kept, and leaves so moved with a chance that
    keeps the mean change within a budget. The same input gets the same answer.
    Evidence for: classifiers trained on undefended reference models fell to chance (Jia et al. 2019, section 5).
    Evidence against: known to be weak. The label stays, so that every label-only attack sees what it saw before
    (Choquette-Choo et al. 2021, arXiv:2007.14321), and an attack that knows the record's label and trains
    reference models behind the defence, or looks at the loss alone, still tells members (Song and Mittal 2021,
    arXiv:2003.10595). Who holds the model file sees the scores.
    Cost: scores change by the budget; the classifier takes seconds; a fraction of a millisecond an answer.

    The classifier is a logistic regression on sorted log scores, where the paper has a small network; the way to one
    half is walked by Newton steps on the logits, which is the shortest way for a plane, where the paper searches a
    weight of the distance. With d the L1 distance walked, an answer is moved with chance min(budget / d, 1).

    Attributes:
        budget: the mean L1 change of a row of scores that is allowed, in [0, 2].
        steps: Newton steps at most (>= 1).
        secret: what the chance is drawn from (>= 0); choose your own.
        members: the training records, for a model that was not trained here.
        public: records like them that the model never saw.
    """

    name: ClassVar[str] = "memguard"
    title: ClassVar[str] = "MemGuard"
    source: ClassVar[str] = "Jia et al. 2019, ACM CCS, arXiv:1909.10594, section 4"

    budget: float = 1.0
    steps: int = 30
    secret: int = 0
    members: Records | None = None
    public: Records | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.budget <= 2:
            raise InputError(f"budget is {self.budget}; use a number from 0 to 2, such as 1.")
        for name, least in (("steps", 1), ("secret", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; use a whole number of at least {least}.")

    def before(self, model: Model, records: Records | None, seed: int) -> Misleading:
        if not model.classes:
            raise InputError("MemGuard moves probabilities, and a regressor has none; use output-policy with decimals.")
        members = self.members if records is None else records
        if members is None or self.public is None:
            lacks = "public" if self.public is None else "members"
            raise InputError(f"MemGuard learns what tells members from others, and has no {lacks} records; name some.")
        answers = [model.scores(group.x) for group in (members, self.public)]
        weights, offset = classifier(*answers)
        secret = self.secret if records is None else of_its_own(self.secret, seed)
        return Misleading(weights, offset, self.budget, self.steps, secret)

    def harden(self, scores: Array, key: Array) -> Array:
        raise InputError("MemGuard has no classifier yet; call it on a recipe or a target.")


@dataclass(frozen=True)
class Misleading(OnOutputs):
    """MemGuard with its classifier: the logit of membership is weights @ sorted log scores + offset.

    Attributes:
        weights: (classes,) of the largest score first.
        offset: added.
        budget, steps, secret: as in `MemGuard`.
    """

    weights: Array
    offset: float
    budget: float
    steps: int
    secret: int

    def membership(self, scores: Array) -> Array:
        """Return the logit (n,) of membership that the classifier reads in scores (n, classes)."""
        return features(scores) @ self.weights + self.offset  # type: ignore[no-any-return]

    def moved(self, scores: Array) -> Array:
        """Return scores (n, classes) of the same predicted class whose membership is as near to one half as found."""
        z = np.log(np.maximum(scores, SMALLEST))
        top = scores.argmax(axis=1)[:, None]
        for _ in range(self.steps):
            order = np.argsort(-z, axis=1, kind="stable")
            logp = log_softmax(z, axis=1)
            away = np.take_along_axis(logp, order, axis=1) @ self.weights + self.offset
            slope = np.empty_like(z)
            np.put_along_axis(slope, order, np.broadcast_to(self.weights, z.shape), axis=1)
            slope -= np.exp(logp) * self.weights.sum()
            z = z - (away / np.maximum((slope**2).sum(axis=1), 1e-12))[:, None] * slope
            z = np.clip(z - z.max(axis=1, keepdims=True), np.log(SMALLEST), 0)
            np.put_along_axis(z, top, np.maximum(np.take_along_axis(z, top, axis=1), z.max(axis=1)[:, None] + 1e-6), 1)
        return np.exp(log_softmax(z, axis=1))  # type: ignore[no-any-return]

    def harden(self, scores: Array, key: Array) -> Array:
        if not len(scores):
            return scores
        moved = self.moved(scores)
        walked = np.abs(moved - scores).sum(axis=1)
        better = np.abs(self.membership(moved)) < np.abs(self.membership(scores))
        chance = np.where(better, np.minimum(self.budget / np.maximum(walked, 1e-12), 1), 0)
        drawn = per_input(key, lambda rng: rng.random(), self.secret)
        return np.where((drawn < chance)[:, None], moved, scores)


def features(scores: Array) -> Array:
    """Return the log scores (n, classes), the largest first."""
    return np.log(np.maximum(-np.sort(-scores, axis=1), SMALLEST))  # type: ignore[no-any-return]


def classifier(members: Array, others: Array) -> tuple[Array, float]:
    """Return weights (classes,) and offset of a logistic regression that tells two groups of answers (n, classes).

    Both groups weigh the same, however many there are.
    """
    x = features(np.concatenate([members, others]))
    scaler = StandardScaler().fit(x)
    fitted = LogisticRegression(max_iter=1000, class_weight="balanced")
    fitted.fit(scaler.transform(x), np.arange(len(x)) < len(members))
    weights = fitted.coef_[0] / scaler.scale_
    return weights, float(fitted.intercept_[0] - scaler.mean_ @ weights)
