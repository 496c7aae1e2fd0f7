"""Abstention: no answer where the model is unsure, a bare class where it is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.errors import InputError


@dataclass(frozen=True)
class Abstention(OnOutputs):
    """Answer only where the model is sure, and then with the class alone.

    What it does: where the largest score reaches `sure`, the answer is that class, as a score of 1. Below, the answer
    is "unknown": equal scores for all classes, which read as the first class where only labels are shown. Nothing else
    leaves the server.
    Evidence for: what the model makes of inputs unlike any that it knows stays hidden, and so does the slope of its
    scores, which a search for a class's typical input climbs.
    Evidence against: whether it answers is itself a signal. A model that learnt its members by heart answers them and
    is silent about others; so abstaining keeps a leak of membership, and may make it plainer where labels are wrong.
    Who holds the model file sees the scores.
    Cost: unanswered inputs, which count as answered with the first class; nothing in training or time.

    Attributes:
        sure: the least score of an answer, in [0, 1].
    """

    name: ClassVar[str] = "abstention"
    title: ClassVar[str] = "Abstention"
    source: ClassVar[str] = "Chow 1970, IEEE Transactions on Information Theory 16 (1)"
    keeps_labels: ClassVar[bool] = False

    sure: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.sure <= 1:
            raise InputError(f"sure is {self.sure}; use a number from 0 to 1, such as 0.8.")

    def harden(self, scores: Array, key: Array) -> Array:
        classes = scores.shape[1]
        answered = scores.max(axis=1, keepdims=True) >= self.sure
        return np.where(answered, np.eye(classes)[scores.argmax(axis=1)], 1 / classes)
