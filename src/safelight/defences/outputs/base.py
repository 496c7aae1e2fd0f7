"""Answers are hardened on their way out: pure functions of scores, run by an audit and by a guard alike."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast, overload

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import describe, key_of, refuse
from safelight.defences.behind import Behind
from safelight.recipes.base import Recipe, StacksModels, StartsUntrained
from safelight.targets.base import Model, Target
from safelight.threat import Access


class OnOutputs(ABC):
    """A defence of answers: it has `harden(scores, key)`, and wraps a target, or a recipe whose targets it wraps."""

    keeps_labels: ClassVar[bool] = True
    """Whether the predicted class is the model's own, whatever is done to the scores."""

    @property
    def access(self) -> Access:
        """The most that a hardened answer still holds."""
        return Access.SCORES

    @abstractmethod
    def harden(self, scores: Array, key: Array) -> Array:
        """Return what leaves the server; a pure function.

        Args:
            scores: probabilities (n, classes), rows sum to 1.
            key: (n,) uint64, the hash of each input: what is random for an input stays the same when it is sent again.

        Returns:
            (n, classes) float64, rows that are probabilities; a rounded or cut row may sum to less than 1.
        """

    def answers(self, predictions: Array, key: Array) -> Array:
        """Return what a regressor's predictions (n,) become."""
        return predictions

    def before(self, model: Model, records: Records | None, seed: int) -> OnOutputs:
        """Return the defence as it stands before one model: calibrated on it, or with randomness of its own.

        Args:
            model: whose answers it will change.
            records: that the model was trained on, or None where nobody said.
            seed: of the training; 0 where nobody said.

        Raises:
            InputError: it needs records that it was not given.
        """
        return self

    def misfit(self, recipe: Recipe) -> str:
        return ""

    @overload
    def __call__(self, subject: Target) -> Target: ...
    @overload
    def __call__(self, subject: Recipe) -> Recipe: ...
    def __call__(self, subject: Target | Recipe) -> Target | Recipe:
        if isinstance(subject, Target):
            return self._on(subject, None, 0)
        refuse(self.misfit(subject))
        kind = HardenedFromStart if isinstance(subject, StartsUntrained) else HardenedRecipe
        return kind(subject, self)

    def _on(self, target: Target, records: Records | None, seed: int) -> Target:
        model = Hardened(target.model, self.before(target.model, records, seed))
        return Target(target.name, model, f"{target.description}, {describe(self)}".lstrip(", "))


@dataclass(frozen=True)
class Hardened(Behind):
    """A model whose answers pass through a defence. Who holds the model file sees the model without it.

    Attributes:
        defence: of its answers.
    """

    defence: OnOutputs
    inexact: ClassVar[bool] = True  # rows of scores need not sum to 1

    def labels(self, x: Any) -> Array:
        if not self.model.classes:
            return self.defence.answers(self.model.labels(x), keys(x))
        if self.defence.keeps_labels:
            return self.model.labels(x)
        return self.scores(x).argmax(axis=1)

    def scores(self, x: Any) -> Array:
        return self.defence.harden(np.asarray(self.model.scores(x), dtype=float), keys(x))


@dataclass(frozen=True)
class HardenedRecipe:
    """A recipe whose models answer through a defence: what an attacker trains to imitate the target answers alike.

    What the defence draws at random differs from model to model: the attacker does not know the target's.
    """

    recipe: Recipe
    defence: OnOutputs

    @property
    def key(self) -> str:
        return key_of(self.defence, self.recipe)

    def fit(self, records: Records, seed: int) -> Target:
        return self._hardened(self.recipe.fit(records, seed), records, seed)

    def stacks(self, records: Records) -> bool:
        return isinstance(self.recipe, StacksModels) and self.recipe.stacks(records)

    def fit_many(self, records: Records, inside: Array, seeds: Sequence[int]) -> list[Target]:
        targets = cast("StacksModels", self.recipe).fit_many(records, inside, seeds)
        return [self._hardened(*each) for each in zip(targets, (records.take(row) for row in inside), seeds)]

    def _hardened(self, target: Target, records: Records | None, seed: int) -> Target:
        return replace(self.defence._on(target, records, seed), name="retrained")


@dataclass(frozen=True)
class HardenedFromStart(HardenedRecipe):
    """The same for a recipe that can also show its model before the first step."""

    def untrained(self, records: Records, seed: int) -> Target:
        start = cast("StartsUntrained", self.recipe).untrained(records, seed)
        return replace(self.defence._on(start, records, seed), name="untrained")


def keys(x: Any) -> Array:
    """Return the hash (n,) uint64 of each record of x: images (n, ...), or a table.

    Equal values have equal hashes, whatever type of number or sign of zero they were sent as.
    """
    if isinstance(x, pd.DataFrame):
        numbers = x.select_dtypes("number").columns
        plain = x.copy()
        plain[numbers] = x[numbers].astype(float) + 0.0  # -0 becomes 0
        return pd.util.hash_pandas_object(plain, index=False).to_numpy(np.uint64)
    rows = np.asarray(x, dtype=np.float32).reshape(len(x), -1) + np.float32(0)  # -0 becomes 0
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.uint64)


def per_input(key: Array, draw: Callable[[np.random.Generator], Any], secret: int = 0) -> Array:
    """Return `draw` once for each input, stacked: the same input always gets the same draw.

    Args:
        key: (n,) as from `keys`; n >= 1.
        draw: takes the generator of one input; returns a number or an array, each time of the same shape.
        secret: (>= 0) only who knows it can draw the same.
    """
    return np.stack([draw(np.random.default_rng([secret, int(one)])) for one in key])
