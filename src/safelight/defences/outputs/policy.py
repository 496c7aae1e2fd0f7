"""Fewer, coarser or no scores: what most serving stacks can do by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.errors import InputError
from safelight.threat import Access


@dataclass(frozen=True)
class OutputPolicy(OnOutputs):
    """Cut, round or hide the scores of an answer.

    What it does: it flattens scores by a temperature, keeps the k largest, rounds them, or answers with the label
    alone. Nothing is trained again, and the predicted class stays the same.
    Evidence for: an attack that compares exact scores loses them; what is left needs more queries, or is less sure
    (Shokri et al. 2017, table III).
    Evidence against: faces are rebuilt from scores of two decimals as well as from all digits, and from labels alone
    with more queries (Kahla et al. 2022, arXiv:2203.06580); membership needs no score at all (Choquette-Choo et al.
    2021, arXiv:2007.14321). A temperature is undone by whoever knows it. Who holds the model file sees all scores.
    Cost: nothing in training or time; the user loses the scores.

    Order: temperature, top k, rounding, label. A rounded row need not sum to 1.

    Attributes:
        top_k: largest scores that stay (>= 1), the rest read 0; None for all.
        decimals: to which scores, or a regressor's predictions, are rounded (>= 0); None for all digits.
        temperature: scores become proportional to score ** (1 / temperature) (> 0); 1 leaves them.
        label_only: answer with the class alone.
    """

    name: ClassVar[str] = "output-policy"
    title: ClassVar[str] = "Output policy"
    source: ClassVar[str] = "Shokri et al. 2017, IEEE S&P, arXiv:1610.05820, section VIII"

    top_k: int | None = None
    decimals: int | None = None
    temperature: float = 1.0
    label_only: bool = False

    def __post_init__(self) -> None:
        for name, least in (("top_k", 1), ("decimals", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} is {value}; use a whole number of at least {least}, or leave it out.")
        if not 0 < self.temperature < np.inf:
            raise InputError(f"temperature is {self.temperature}; use a number above 0, such as 2.")

    @property
    def access(self) -> Access:
        return Access.LABEL if self.label_only else Access.SCORES

    def harden(self, scores: Array, key: Array) -> Array:
        if self.label_only:
            return np.eye(scores.shape[1])[scores.argmax(axis=1)]
        if self.temperature != 1:
            with np.errstate(divide="ignore"):  # a score of 0 stays 0
                sharp = np.log(scores) / self.temperature
            scores = np.exp(sharp - sharp.max(axis=1, keepdims=True))
            scores = scores / scores.sum(axis=1, keepdims=True)
        if self.top_k is not None and self.top_k < scores.shape[1]:
            gone = np.argpartition(-scores, self.top_k - 1, axis=1)[:, self.top_k :]
            scores = scores.copy()
            np.put_along_axis(scores, gone, 0.0, axis=1)
        return scores if self.decimals is None else np.round(scores, self.decimals)

    def answers(self, predictions: Array, key: Array) -> Array:
        return predictions if self.decimals is None else np.round(predictions, self.decimals)
