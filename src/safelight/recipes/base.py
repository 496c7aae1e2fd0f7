"""How a model is trained again: for coins, controls and the attacker's own reference models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Target


@runtime_checkable
class Recipe(Protocol):
    """Trains a model on any records of the same kind.

    The number of classes follows the records: their labels are 0..c-1, and the model has c classes.

    Attributes:
        key: hash of code and settings; caches and evidence are named by it.
    """

    @property
    def key(self) -> str: ...

    def fit(self, records: Records, seed: int) -> Target:
        """Train from `seed`; the same records and seed give the same model."""
        ...


@runtime_checkable
class StacksModels(Protocol):
    """A recipe that can train several models as one tensor program."""

    def stacks(self, records: Records) -> bool:
        """Return whether its models are of a kind that gains by it."""
        ...

    def fit_many(self, records: Records, inside: Array, seeds: Sequence[int]) -> list[Target]:
        """Train one model a row of `inside` (models, n) bool; each is what `fit` gives, up to rounding."""
        ...


@runtime_checkable
class StartsUntrained(Protocol):
    """A recipe that can also show its model before the first step."""

    def untrained(self, records: Records, seed: int) -> Target:
        """Return the model with its random starting weights, shaped for `records`."""
        ...
