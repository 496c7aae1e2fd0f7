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
from safelight.drill.values import Edit, Values
from safelight.targets.base import Model
from safelight.threat import Access

CHUNK = 8192  # records that the model is asked about at once; of pictures no more than fit
BYTES = 1 << 25  # of those pictures


@dataclass(frozen=True)
class Event:
    """One question, before its records are looked up.

    Attributes:
        client, cohort, kind: who asks.
        at: seconds since 1970, UTC.
        rows: (n,) positions of its records.
        frames: (n,) which frame of a film, or which of several looks, each record is; 0 where it stands still.
        seed: of how its records change: the same for all frames of one film, or all looks of one device.
        edits: fields that somebody changed: which of the records, which column, and which record has the new value.
    """

    client: str
    cohort: str
    kind: str
    at: float
    rows: Array
    frames: Array
    seed: int
    edits: tuple[Edit, ...] = ()


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

    def changed(self, event: Event, values: Array, about: Values) -> Array:
        """Return the values (n, ...) of a question's records as they reach the model."""
        ...


def visits(crowd: Makes, records: Records, model: Model, rng: Generator) -> Iterator[Visit]:
    """Yield what a crowd asks and what the model answers, in the order of time; a few at a time are held in memory.

    Args:
        crowd: who asks.
        records: what they have, with labels for those who ask about one class.
        model: that answers.
        rng: of all of it.
    """
    about = Values.of(records.x)
    most = CHUNK if not about.pictures else max(1, min(CHUNK, BYTES // about.x[0].nbytes))
    waiting: list[Event] = []
    held = 0
    for event in crowd.events(records, rng):
        waiting.append(event)
        held += len(event.rows)
        if held >= most:
            yield from _answered(waiting, crowd, about, model)
            waiting, held = [], 0
    if waiting:
        yield from _answered(waiting, crowd, about, model)


def _answered(waiting: Sequence[Event], crowd: Makes, about: Values, model: Model) -> Iterator[Visit]:
    rows = np.concatenate([event.rows for event in waiting])
    values = about.take(rows)
    ends = np.cumsum([len(event.rows) for event in waiting]).tolist()
    edits: list[Edit] = []
    for event, end in zip(waiting, ends, strict=True):
        own = slice(end - len(event.rows), end)
        values[own] = crowd.changed(event, values[own], about)
        edits += [(own.start + record, column, other) for record, column, other in event.edits]
    x = about.put(rows, values, edits)
    answers = model.scores(x) if model.classes and model.access >= Access.SCORES else model.labels(x)
    seen = as_seen(x)
    for event, end in zip(waiting, ends, strict=True):
        own = slice(end - len(event.rows), end)
        yield Visit(event.client, event.cohort, event.kind, event.at, seen[own], answers[own])


def as_seen(x: Any) -> Array:
    """Return records as the guard sees them: (n, values) float64, or object where some are words."""
    if not isinstance(x, pd.DataFrame):
        return np.asarray(x, np.float64).reshape(len(x), -1)
    numeric = all(pd.api.types.is_numeric_dtype(column) for _, column in x.items())
    return np.asarray(x.to_numpy(np.float64 if numeric else object))
