"""How a model is trained again: for coins, controls and the attacker's own reference models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Target


def source_of(function: Callable[..., Any]) -> str:
    """Return the code that a function comes with: its whole file, since it may call what stands beside it.

    What the file imports is not part of it. Without a file it is the function's own source, or its name.
    """
    try:
        path = inspect.getsourcefile(function)
        if path is not None and Path(path).is_file():
            return f"{getattr(function, '__qualname__', '')}\n{Path(path).read_text('utf-8')}"
        return inspect.getsource(function)
    except (OSError, TypeError):
        return repr(function)


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
