"""Prediction sets: the classes that may be right, and nothing of how sure the model is of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.outputs.base import OnOutputs
from safelight.errors import InputError
from safelight.targets.base import Model


@dataclass(frozen=True)
class PredictionSets(OnOutputs):
    """Answer with the predicted class and the set of classes that holds the true one at a chosen rate.

    What it does: split conformal prediction on held-out public records says how low a score may be before its class is
    ruled out. What leaves the server is the predicted class and that set, as equal scores over it and 0 elsewhere.
    Evidence for: the answer is a few bits, and its coverage is a theorem, whatever the model, for inputs that come from
    where the public records come from.
    Evidence against: whether an answer is one class or several tells how sure the model is, and members get the
    smaller sets: an over-fitted network still tells them. The label stays, so that every label-only attack sees what it
    saw before. Who holds the model file sees the scores.
    Cost: nothing in training or time; the user loses the scores and gets a set that holds the true class at that rate.

    With scores s_i = 1 - p(true class) of n public records and q the ceil((n + 1)(1 - alpha))-th smallest of them, the
    set is all classes with 1 - p <= q, and always the predicted one. Over draws of the public records and of an input
    it holds the true class with a chance of at least 1 - alpha.

    Attributes:
        alpha: how often the set may miss the true class, in (0, 1).
        public: labelled records that the model never saw.
    """

    name: ClassVar[str] = "prediction-sets"
    title: ClassVar[str] = "Prediction sets"
    source: ClassVar[str] = (
        "Sadinle et al. 2019, JASA, arXiv:1609.00451; split: Lei et al. 2018, JASA, arXiv:1604.04173, section 2"
    )

    alpha: float = 0.1
    public: Records | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is {self.alpha}; use a number between 0 and 1, such as 0.1.")

    def before(self, model: Model, records: Records | None, seed: int) -> Sets:
        if not model.classes:
            raise InputError("Prediction sets are sets of classes, and a regressor has none; use output-policy.")
        if self.public is None:
            raise InputError("Prediction sets are fitted to records that the model never saw; name public records.")
        known = self.public.take(self.public.y < len(model.classes))
        least = math.ceil(1 / self.alpha) - 1
        if len(known) < least:
            raise InputError(
                f"{len(known)} public records are of classes that the model knows, and alpha = {self.alpha:g} needs "
                f"{least}; name more, or raise alpha."
            )
        return Sets(quantile(model.scores(known.x)[np.arange(len(known)), known.y], self.alpha))

    def harden(self, scores: Array, key: Array) -> Array:
        raise InputError("Prediction sets are not fitted yet; call them on a recipe or a target.")


@dataclass(frozen=True)
class Sets(OnOutputs):
    """Prediction sets, fitted.

    Attributes:
        least: classes with a lower score are ruled out.
    """

    least: float

    def harden(self, scores: Array, key: Array) -> Array:
        inside = scores >= np.minimum(self.least, scores.max(axis=1, keepdims=True))
        return inside / inside.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def quantile(sure: Array, alpha: float) -> float:
    """Return the least score that a class keeps, from the scores (n,) of the true classes; n >= 1 / alpha - 1."""
    rank = math.ceil((len(sure) + 1) * (1 - alpha) - 1e-9)  # of 1 - score, from the smallest
    return float(-np.sort(-sure)[rank - 1])
