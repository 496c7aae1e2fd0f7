"""Noise that an input always gets again, so that asking twice does not undo it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.outputs.base import OnOutputs, per_input
from safelight.errors import InputError
from safelight.targets.base import Model


@dataclass(frozen=True)
class ConsistentNoise(OnOutputs):
    """Disturb the scores of each input by noise that belongs to the input.

    What it does: Gaussian noise on the scores, drawn from a secret and the hash of the input; the row is then cut to
    [0, 1] and scaled to sum to 1, and the label is the largest noisy score. The same input gets the same answer.
    Evidence for: averaging many answers to one input gives the one noisy answer again, where fresh noise is averaged
    away.
    Evidence against: inputs that differ in the last digit get noise of their own, and their average is the answer
    without noise. It promises nothing in the sense of differential privacy (see score-noise for that). Whoever learns
    the secret takes the noise away; so does whoever compares two models behind one secret. Who holds the model file
    sees no noise.
    Cost: accuracy falls with the scale; some ten microseconds an answer.

    An attacker's own models draw from other secrets: it does not know the target's.

    Attributes:
        scale: deviation of the noise on each score (> 0).
        secret: what the noise is drawn from (>= 0); choose your own, and a new one for each new model.
    """

    name: ClassVar[str] = "consistent-noise"
    title: ClassVar[str] = "Noise of the input's own"
    source: ClassVar[str] = "sticky noise: Francis et al. 2017, Annual Privacy Forum (Diffix)"
    keeps_labels: ClassVar[bool] = False

    scale: float = 0.05
    secret: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise InputError(f"scale is {self.scale}; use a number above 0, such as 0.05.")
        if self.secret < 0:
            raise InputError(f"secret is {self.secret}; use a whole number of at least 0.")

    def before(self, model: Model, records: Records | None, seed: int) -> ConsistentNoise:
        if not model.classes:
            raise InputError(
                "Noise of the input's own disturbs probabilities, and a regressor has none; use output-policy with "
                "decimals."
            )
        return self if records is None else replace(self, secret=of_its_own(self.secret, seed))

    def harden(self, scores: Array, key: Array) -> Array:
        if not len(scores):
            return scores
        noise = per_input(key, lambda rng: rng.normal(0, self.scale, scores.shape[1]), self.secret)
        return as_probabilities(scores + noise)


def of_its_own(secret: int, seed: int) -> int:
    """Return the secret of a model that was trained from `seed`."""
    return int(hashlib.sha256(f"{secret} {seed}".encode()).hexdigest()[:15], 16)


def as_probabilities(rows: Array) -> Array:
    """Return rows (n, classes) cut to [0, 1] and scaled to sum to 1; a row with nothing left is uniform."""
    cut = np.clip(rows, 0, 1)
    total = cut.sum(axis=1, keepdims=True)
    return np.where(total > 0, cut / np.where(total > 0, total, 1), 1 / rows.shape[1])  # type: ignore[no-any-return]
