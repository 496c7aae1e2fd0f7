"""Harmless clients: what a crowd of them asks, as the guard sees it, with the model's answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.targets.base import Model
from safelight.threat import Access

CHUNK = 1024  # records that the model is asked about at once


@dataclass(frozen=True)
class Event:
    """One question, before its records are looked up.

    Attributes:
        client, cohort, kind: who asks.
        at: seconds since 1970, UTC.
        rows: (n,) positions of its records.
        frames: (n,) how far each record has moved, in frames; 0 where it stands still.
        seed: of how its records move, or get noisy: the same for all frames of one burst.
    """

    client: str
    cohort: str
    kind: str
    at: float
    rows: Array
    frames: Array
    seed: int


@dataclass(frozen=True)
class Visit:
    """One answered question, as a guard sees it.

    Attributes:
        client, cohort, kind: who asks.
        at: seconds since 1970, UTC.
        x: (n, values) float64, or object where some are words.
        answers: of the model, as it gives them: scores (n, classes), or labels or predictions (n,).
    """

    client: str
    cohort: str
    kind: str
    at: float
    x: Array
    answers: Array


class Makes(Protocol):
    """A crowd: how many clients, how they ask, how their records change."""

    def events(self, records: Records, rng: Generator) -> list[Event]:
        """Return all questions of all clients, in the order of time."""
        ...

    def moved(self, x: Any, frame: int, rng: Generator) -> Any:
        """Return one record (1, ...) as frame number `frame` of a burst shows it; `rng` is the same for all frames."""
        ...

    def noisy(self, x: Any, rng: Generator) -> Any:
        """Return records (n, ...) with noise."""
        ...


def visits(crowd: Makes, records: Records, model: Model, rng: Generator) -> Iterator[Visit]:
    """Yield what a crowd asks and what the model answers, in the order of time; a few at a time are held in memory.

    Args:
        crowd: who asks.
        records: what they have, with labels for those who ask about one class.
        model: that answers.
        rng: of all of it.
    """
    waiting: list[tuple[Event, Any]] = []
    for event in crowd.events(records, rng):
        waiting.append((event, _records(crowd, event, records)))
        if sum(len(x) for _, x in waiting) >= CHUNK:
            yield from _answered(waiting, model)
            waiting = []
    yield from _answered(waiting, model)


def _records(crowd: Makes, event: Event, records: Records) -> Any:
    x = records.take(event.rows).x
    if event.kind == "burst":
        return crowd.moved(x, int(event.frames[0]), np.random.default_rng(event.seed))
    return crowd.noisy(x, np.random.default_rng(event.seed)) if event.kind == "noisy" else x


def _answered(waiting: Sequence[tuple[Event, Any]], model: Model) -> Iterator[Visit]:
    if not waiting:
        return
    parts = [x for _, x in waiting]
    whole = pd.concat(parts, ignore_index=True) if isinstance(parts[0], pd.DataFrame) else np.concatenate(parts)
    answers = model.scores(whole) if model.classes and model.access >= Access.SCORES else model.labels(whole)
    seen, start = as_seen(whole), 0
    for event, x in waiting:
        rows = slice(start, start + len(x))
        yield Visit(event.client, event.cohort, event.kind, event.at, seen[rows], answers[rows])
        start += len(x)


def as_seen(x: Any) -> Array:
    """Return records as the guard sees them: (n, values) float64, or object where some are words."""
    if not isinstance(x, pd.DataFrame):
        return np.asarray(x, np.float64).reshape(len(x), -1)
    numeric = all(pd.api.types.is_numeric_dtype(column) for _, column in x.items())
    return np.asarray(x.to_numpy(np.float64 if numeric else object))
