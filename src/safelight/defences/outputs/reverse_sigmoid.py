"""Deceptive scores by a reversed sigmoid: one answer fits many models, until the formula is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from scipy.special import expit, logit

from safelight.defences.outputs.base import OnOutputs
from safelight.errors import InputError


@dataclass(frozen=True)
class ReverseSigmoid(OnOutputs):
    """Bend sure scores back towards unsure ones, so that two sures look alike.

    What it does: each score y becomes y - beta * (sigmoid(gamma * logit(y)) - 1/2), and the row is scaled to sum to 1.
    Near 0 and 1 the curve turns round: a surer answer of the model reads as a less sure one.
    Evidence for: a network trained on such scores was a worse copy than one trained on the true ones (Lee et al. 2019).
    Evidence against: known to be weak. The formula is fixed and has no secret: whoever knows it turns it round, or
    trains reference models behind it. The label stays, so that every label-only attack sees what it saw before.
    Cost: nothing in training or time; scores are no longer probabilities to rely on.

    Scores are clipped to [1e-9, 1 - 1e-9] first. A row whose largest score would move to another class is left as it
    is: that is ours.

    Attributes:
        beta: how far scores are bent, in [0, 1]; 0 leaves them.
        gamma: how sharply (> 0); below 1 the ends turn round.
    """

    name: ClassVar[str] = "reverse-sigmoid"
    title: ClassVar[str] = "Reverse sigmoid"
    source: ClassVar[str] = "Lee et al. 2019, IEEE SPW, arXiv:1806.00054"

    beta: float = 0.7
    gamma: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise InputError(f"beta is {self.beta}; use a number from 0 to 1, such as 0.7.")
        if not 0 < self.gamma < math.inf:
            raise InputError(f"gamma is {self.gamma}; use a number above 0, such as 0.2.")

    def harden(self, scores: Array, key: Array) -> Array:
        if not self.beta or not len(scores):
            return scores
        bent = bend(np.clip(scores, 1e-9, 1 - 1e-9), self.beta, self.gamma)
        bent = np.maximum(bent, 0)
        bent = bent / bent.sum(axis=1, keepdims=True)
        kept = bent.argmax(axis=1) == scores.argmax(axis=1)
        return np.where(kept[:, None], bent, scores)


def bend(y: Array, beta: float, gamma: float) -> Array:
    """Return y - beta * (sigmoid(gamma * logit(y)) - 1/2) of scores (...) in (0, 1)."""
    return y - beta * (expit(gamma * logit(y)) - 0.5)  # type: ignore[no-any-return]
