"""Which of two classes (or people) was trained as class i?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.controls.coins.base import Draw
from safelight.controls.matcher import likeness
from safelight.data.records import Records, Splits, concat
from safelight.evidence import Answer, Reconstructions, WhatIsInside


@dataclass(frozen=True)
class ClassCoins:
    """Pairs the classes; a coin decides which class of each pair is trained as class i.

    A rebuilt picture is matched with the mean training photo of both candidates (`matcher.likeness`).

    Attributes:
        person: whether a class is one person, so that the claim is about a person.
        share: share of the coins that is guessed.
    """

    person: bool = False
    share: float = 1.0
    adjacency: str = "replace"

    @property
    def name(self) -> str:
        return self.unit

    @property
    def claim(self) -> str:
        return self.unit

    @property
    def unit(self) -> str:
        return "person" if self.person else "class"

    def why_not(self, data: Splits) -> str:
        classes = len(np.unique(data.members.y))
        return "" if classes >= 4 else f"coins over classes need at least 4 classes and there are {classes}"

    def count(self, data: Splits) -> int:
        return len(np.unique(data.members.y)) // 2

    def flip(self, data: Splits, rng: Generator) -> Draw:
        order = rng.permutation(np.unique(data.members.y))
        pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
        secret = rng.integers(0, 2, len(pairs))
        trained = pairs[np.arange(len(pairs)), secret]
        return self._draw(data.members, pairs, trained, secret)

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        order = rng.permutation(np.unique(data.members.y))
        trained, rest = order[: len(order) // 2], order[len(order) // 2 :]
        pairs = rest[: len(rest) // 2 * 2].reshape(-1, 2)
        return self._draw(data.members, pairs, trained, rng.integers(0, 2, len(pairs)))

    def _draw(self, members: Records, pairs: Array, trained: Array, secret: Array) -> Draw:
        slots = [members.take(members.y == old).relabelled(np.full((members.y == old).sum(), new))
                 for new, old in enumerate(trained)]  # fmt: skip
        means = np.stack([[members.x[members.y == c].mean(axis=0) for c in pair] for pair in pairs])
        return Draw(concat(slots), WhatIsInside(np.arange(len(pairs))), secret, 2, pair_match(means))


def pair_match(means: Array) -> Callable[[Answer], Array]:
    """Return the matcher of picture i with its own candidates: means (m, k, ...) of all candidates."""

    def match(answer: Answer) -> Array:
        assert isinstance(answer, Reconstructions)
        m, k = means.shape[:2]
        centre = means.reshape(m * k, *means.shape[2:]).mean(axis=0)
        place = {int(c): row for row, c in enumerate(answer.classes)}
        pictures = answer.images[[place[i] for i in range(m)]]
        return np.stack([likeness(pictures[i : i + 1], means[i], centre)[0] for i in range(m)])

    return match
