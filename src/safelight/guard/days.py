"""The recorded calls of a client, day by day, as the watch would have read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy import ndarray as Array

from safelight.guard.fit import Fitted
from safelight.guard.seen import Seen
from safelight.guard.window import Facts

Day = list[tuple[float, Facts]]
"""Of each call of a day the seconds since its midnight (UTC), and what is kept of its records."""


def kind_of(answers: Array) -> tuple[tuple[int, ...], bool]:
    """Return how many numbers an answer has, and whether answers are words."""
    return answers.shape[1:], answers.dtype.kind in "OUS"


def days_of(calls: Sequence[Seen], fitted: Fitted) -> list[Day]:
    """Return the calls of a client, day by day."""
    found: dict[int, Day] = {}
    ordered = sorted(calls, key=lambda call: call.at)
    for call, facts in zip(ordered, read_all(ordered, fitted)):
        found.setdefault(int(call.at // 86400), []).append((call.at % 86400, facts))
    return list(found.values())


def read_all(calls: Sequence[Seen], fitted: Fitted) -> Iterator[Facts]:
    """Yield the facts of each call; those alike that follow one another are read together, which costs a tenth."""
    for _, run in groupby(calls, key=_look):
        some = list(run)
        parts = [np.concatenate([getattr(call, name) for call in some]) for name in ("x", "answers")]
        texts = tuple(pair for call in some for pair in call.texts)
        whole, start = fitted.read(replace(some[0], x=parts[0], answers=parts[1], texts=texts)), 0
        for call in some:
            yield whole.piece(start, start + len(call.x))
            start += len(call.x)


def _look(call: Seen) -> tuple[object, ...]:
    """Return what calls that are read together have in common."""
    return call.x.dtype, call.x.shape[1:], call.names, *kind_of(call.answers)


def together(days: Sequence[Day]) -> Day:
    """Return several days as if they had been one, in the order of time."""
    return sorted((call for day in days for call in day), key=lambda call: call[0])


def records_of(days: Sequence[Day]) -> int:
    return sum(len(facts) for day in days for _, facts in day)
