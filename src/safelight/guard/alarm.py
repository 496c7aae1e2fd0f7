"""What the watch over sequences of calls says when it rings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Alarm:
    """One alarm.

    Attributes:
        client: whose calls rang it, or "" for an alarm of a whole cohort.
        cohort: its group, or "".
        model: that was asked.
        at: seconds since 1970, UTC.
        signal: name of the signal that stood out most.
        score: of that signal, standardised at calibration; above `threshold`.
        threshold: of the calibration.
        records: of this client, or cohort, that were seen when it rang.
        suspects: clients that an alarm of a cohort points at.
        version: of the model that was asked, or "" where the policy lists none.
    """

    client: str
    cohort: str
    model: str
    at: float
    signal: str
    score: float
    threshold: float
    records: int
    suspects: tuple[str, ...] = ()
    version: str = ""
