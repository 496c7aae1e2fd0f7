"""What rings: the readings of a client's or a cohort's records, laid beside the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.guard.alarm import Alarm
from safelight.guard.reference import Reference
from safelight.guard.scale import OVER_TIME, Scale
from safelight.guard.seen import Seen
from safelight.guard.signals.base import Signal
from safelight.guard.track import Track
from safelight.guard.window import Facts

AGAIN = 32
"""Records that a client sends after an alarm before it rings again."""


@dataclass
class Sort:
    """What is common to all clients, or all cohorts, of one model."""

    scale: Scale
    signals: tuple[Signal, ...]
    size: int


@dataclass(frozen=True)
class Ring:
    """A reading above the threshold.

    Attributes:
        name: of its signal.
        score: in the scale's units.
        records: of the call, up to the first reading that rang.
    """

    name: str
    score: float
    records: int


def ring(track: Track, facts: Facts, reference: Reference, sort: Sort) -> Ring | None:
    """Take records in; return the strongest reading above the threshold, where it may ring again."""
    best: Ring | None = None
    start = track.window.seen
    track.new_day(facts.at)
    for scores in track.take(facts, reference, sort.signals):
        track.standard, track.evidence = sort.scale.read(scores, track.evidence)
        place = int(track.standard.argmax())
        value, seen = float(track.standard[place]), track.window.seen
        if value > sort.scale.threshold and (best is None or value > best.score):
            if best is None and track.rang >= 0 and seen - track.rang < AGAIN:
                continue
            best = Ring(sort.scale.names[place], value, (best.records if best else seen - start))
            track.rang = seen
    return best


def alarm_of(
    seen: Seen, scale: Scale, ring: Ring, records: int, client: str = "", suspects: tuple[str, ...] = ()
) -> Alarm:
    return Alarm(client, seen.cohort, seen.model, seen.at, ring.name, ring.score, scale.threshold, records, suspects)


def suspected(track: Track, reference: Reference, signals: tuple[Signal, ...], name: str) -> tuple[str, ...]:
    """Return the clients of a cohort's window that a signal would say less without, by name.

    Args:
        track: of the cohort.
        reference: of the model.
        signals: that were read.
        name: of the one that rang; evidence over time is looked for in the one that says most now.
    """
    if track.standard is None:
        return ()
    if name == OVER_TIME:
        name = signals[int(track.standard[:-1].argmax())].name
    signal = next(one for one in signals if one.name == name)
    who = np.array(track.who[-len(track.window) :])
    whole, found = signal.score(track.window, reference), []
    for client in np.unique(who):
        mine = who == client
        without: Array = ~mine
        if mine.sum() >= 3 and signal.score(track.window.only(without), reference) < whole:
            found.append(str(client))
    return tuple(found)
