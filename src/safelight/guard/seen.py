"""What passed the door in one call, for the watch over sequences of calls. It lives in memory, never in the log."""

from __future__ import annotations

from dataclasses import dataclass

from numpy import ndarray as Array

from safelight.guard.columns import Names


@dataclass(frozen=True)
class Seen:
    """One call that was answered.

    Attributes:
        client: who asked.
        cohort: its group, or "".
        model: that was asked.
        at: seconds since 1970, UTC.
        x: records (n, values), float64, or object where some are words.
        answers: of the model, before anything was hardened: scores (n, classes) float64, or labels or predictions (n,).
        texts: of a language model, (prompt, completion) of each record; x is then (n, 0).
        names: of the values, as the client orders them; () where their place is the meaning.
    """

    client: str
    cohort: str
    model: str
    at: float
    x: Array
    answers: Array
    texts: tuple[tuple[str, str], ...] = ()
    names: Names = ()
