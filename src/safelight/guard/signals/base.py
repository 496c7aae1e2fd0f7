"""What a signal is. One file, one signal; it is found by being there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import ClassVar, Protocol, cast

from safelight.guard.reference import Reference
from safelight.guard.window import Window


class Signal(Protocol):
    """One thing that sequences of calls show. Its docstring is its section of the docs.

    The docstring's first line says what it sees; paragraphs "What it cannot see:" and "Source:" follow.

    Attributes:
        name: one to three words, for alarms and tables.
        spread: the least spread among normal clients that is believed, in the signal's own unit (> 0): where all of
            them score alike, a difference of this size still says nothing.
        relative: the same as a part of the median: for counts, of which twice as many says nothing.
        tables: whether it reads fields, which only records of up to 64 values have.
    """

    name: ClassVar[str]
    spread: ClassVar[float]
    relative: ClassVar[float]
    tables: ClassVar[bool]

    def score(self, window: Window, reference: Reference) -> float:
        """Return how much the last calls look like an attack; higher is more. Pure."""
        ...


@cache
def all_signals() -> tuple[Signal, ...]:
    """Return one of each signal in this folder, with its own settings, by name."""
    import safelight.guard.signals as room

    found: dict[str, Signal] = {}
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if member.__module__ == module.name and {"name", "spread"} <= set(vars(member)):
                found[vars(member)["name"]] = cast("Signal", member())
    return tuple(found[name] for name in sorted(found))
