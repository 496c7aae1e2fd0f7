"""Time in a drill: it goes on when somebody waits, so that a limit of a day is met without waiting for it."""

from __future__ import annotations

from dataclasses import dataclass

START = 1_767_225_600.0
"""Midnight, 1 January 2026, UTC, in seconds since 1970: every drill begins then, whatever the day is."""
DAY = 86400.0


@dataclass
class Clock:
    """The guard's clock, moved by its clients.

    Attributes:
        at: seconds since 1970, UTC.
    """

    at: float = START

    def now(self) -> float:
        """Return the time."""
        return self.at

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.at += max(0.0, seconds)

    @property
    def days(self) -> float:
        """How many days have gone by."""
        return (self.at - START) / DAY
