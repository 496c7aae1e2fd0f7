"""One client, or one cohort, as it is followed: its window, and every few records what each signal says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy import ndarray as Array

from safelight.guard.reference import Reference
from safelight.guard.signals.base import Signal, all_signals
from safelight.guard.window import SIZE, Facts, Window

STEP = 8
"""Records after which the signals are read again; a client with fewer is not judged."""
DAY = 86400.0
COHORT, COHORT_STEP = 512, 32
"""Records of a cohort that are looked at together, at the most, and after which its signals are read again."""
OWN = ("budget spent", "rate", "embedding volume", "class discrepancy", "label mix")
"""Signals that say nothing of a cohort: it has as many calls as clients, and may ask about other people than those of
the calibration. A whole cohort whose classes look different is drift, which is watched apart and suspects nobody."""
TEXTS = ("canary hits", "divergence", "embedding volume", "regurgitated text")
"""Signals of language models alone, and"""
ANY = ("budget spent", "exact repeats", "rate")
"""those of all models; the others read values, which texts have none of."""


def signals_of(reference: Reference, cohort: bool) -> tuple[Signal, ...]:
    """Return the signals that can be read of these records, or texts, by name."""
    texts = not len(reference.mean)
    return tuple(
        signal
        for signal in all_signals()
        if (signal.name in ANY or (signal.name in TEXTS) == texts)
        and (reference.fields or not signal.tables)
        and not (cohort and signal.name in OWN)
    )


class Track:
    """What is held of one client, or of one cohort, while it asks.

    Attributes:
        window: of its last records.
        held: bytes that it was last counted with.
        evidence: that has added up; see `safelight.guard.scale.Scale`.
        standard: (s + 1,) what each signal said last, in the scale's units; last, the evidence.
        rang: records that it had sent when it last rang, or -1.
        who: of each record of a cohort's window, whose it is; newest last.
    """

    __slots__ = ("_day", "_fresh", "_step", "evidence", "held", "rang", "standard", "who", "window")

    def __init__(self, reference: Reference, size: int = SIZE, step: int = STEP) -> None:
        self.held = 0
        self.window = Window(reference.width, reference.width_classes, reference.fields, size)
        self.evidence, self.rang = 0.0, -1
        self.standard: Array | None = None
        self.who: list[str] = []
        self._step = step
        self._fresh = 0
        self._day: int | None = None

    def recall(self, evidence: float, seen: int, today: int, at: float) -> None:
        """Take up what was kept of it when its window was dropped."""
        self.evidence, self._day = evidence, int(at // DAY)
        self.window.seen, self.window.today = seen, today

    def new_day(self, at: float) -> None:
        """Let half of the evidence go with each day that has passed (UTC); a call of an earlier day turns none back."""
        day = int(at // DAY) if self._day is None else max(int(at // DAY), self._day)
        if self._day is not None and day > self._day:
            self.evidence *= 0.5 ** (day - self._day)
            if not len(self.window):
                self.window.today = 0
        self._day = day

    def forget(self, client: str, before: float, most: float) -> bool:
        """Have a client's records leave a cohort's window, and say whether there were any.

        Those of others stay as they are, with what was seen of them beside these. Whose the evidence over time is,
        nobody knows: `most` of it stays, so that it need not ring at once and others have little to gain.

        Args:
            client: whose records go.
            before: seconds since 1970; later ones stay.
            most: evidence that stays at most.
        """
        who = np.array(self.who[len(self.who) - len(self.window) :])
        goes = (who == client) & (self.window.at <= before)
        if not goes.any():
            return False
        self.window = self.window.only(~goes)
        self.who = who[~goes].tolist()
        self.evidence = min(self.evidence, most)
        return True

    def take(self, facts: Facts, reference: Reference, signals: tuple[Signal, ...]) -> Iterator[Array]:
        """Take records in, and yield what each signal says (s,) after every eighth, or `step`.

        A big batch is read in pieces, so that nothing in it passes unseen.
        """
        start = 0
        while start < len(facts):
            stop = min(len(facts), start + self._step - self._fresh)
            whole = stop - start == len(facts)  # most often one record, which need not be cut out
            self.window.append(facts if whole else facts.piece(start, stop), reference.nearness)
            self._fresh += stop - start
            start = stop
            if self._fresh == self._step:
                self._fresh = 0
                yield np.array([signal.score(self.window, reference) for signal in signals])
