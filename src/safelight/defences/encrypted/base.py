"""A model that is asked encrypted, behind the same door as in the open: every attack runs on it unchanged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, overload

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import describe, key_of
from safelight.defences.behind import Behind
from safelight.defences.encrypted.layers import Layer
from safelight.defences.encrypted.network import layers_of
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.targets.base import Table, Target, softmax
from safelight.threat import Access


class Engine(Protocol):
    """What computes a network without seeing it, or without seeing what it is asked."""

    def answer(self, x: Array) -> Array:
        """Return logits (n, outputs) for rows (n, inputs)."""
        ...


class Encrypted(ABC):
    """A defence that answers through encrypted inference: it has `running(layers)`, and wraps a target or a recipe."""

    @property
    def access(self) -> Access:
        """The most that an answer holds: the weights are not shown."""
        return Access.LOGITS

    @abstractmethod
    def running(self, layers: tuple[Layer, ...]) -> AbstractContextManager[Engine]:
        """Keep an engine for these layers as long as the context lasts; nothing is left behind."""

    def unfit(self, layers: tuple[Layer, ...]) -> str:
        """Return why these layers cannot be computed, as one sentence that says what to do, or an empty string."""
        return ""

    def misfit(self, recipe: Recipe) -> str:
        return ""  # only the trained model shows its layers

    @overload
    def __call__(self, subject: Target) -> Target: ...
    @overload
    def __call__(self, subject: Recipe) -> Recipe: ...
    def __call__(self, subject: Target | Recipe) -> Target | Recipe:
        if isinstance(subject, Target):
            if not subject.model.classes:
                raise InputError(
                    "Encrypted inference answers with classes, and the target is a regressor; leave it out."
                )
            layers = layers_of(subject.model)
            why = self.unfit(layers)
            if why:
                raise InputError(why)
            model = EncryptedModel(subject.model, self, layers)
            return Target(subject.name, model, f"{subject.description}, {describe(self)}".lstrip(", "))
        return EncryptedRecipe(subject, self)


@dataclass(frozen=True)
class EncryptedModel(Behind):
    """A model whose logits are computed encrypted and read by whoever asks.

    The weights are not shown, so its access ends at logits: what an attack reads from those is there as before.

    Attributes:
        defence: computes the layers.
        layers: of the model, which is asked for nothing else.
    """

    defence: Encrypted
    layers: tuple[Layer, ...]

    def logits(self, x: Any) -> Array:
        """Return logits (n, classes) within the error of the engine."""
        rows = x[list(self.inputs.columns)].to_numpy(float) if isinstance(self.inputs, Table) else np.asarray(x, float)
        if not len(rows):
            return np.empty((0, len(self.classes)))
        with self.defence.running(self.layers) as engine:
            return engine.answer(rows.reshape(len(rows), -1))

    def labels(self, x: Any) -> Array:
        return self.logits(x).argmax(axis=1)

    def scores(self, x: Any) -> Array:
        return softmax(self.logits(x))


@dataclass(frozen=True)
class EncryptedRecipe:
    """A recipe whose models are asked encrypted."""

    recipe: Recipe
    defence: Encrypted

    @property
    def key(self) -> str:
        return key_of(self.defence, self.recipe)

    def fit(self, records: Records, seed: int) -> Target:
        return replace(self.defence(self.recipe.fit(records, seed)), name="retrained")
