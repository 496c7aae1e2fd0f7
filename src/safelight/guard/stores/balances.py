"""What the rows of a log say, as far as they were read: of each account, and of each client."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from safelight.guard.judge import FOR_GOOD, Step
from safelight.guard.stores.charges import Entry

CLOSE = 0.002  # seconds: rows hold thousandths of a second


@dataclass(slots=True)
class Balance:
    """What the rows so far say of one account.

    Attributes:
        row: that last said what it holds, or 0.
        entry: of that row.
        least: records of all calls that were charged to it.
        day: of the latest of them.
        today: records of the calls of that day.
    """

    row: int = 0
    entry: Entry = (0, 0, 0, 0.0, 0)
    least: int = 0
    day: int = 0
    today: int = 0

    def add(self, day: int, records: int) -> None:
        """Take in a call."""
        self.least += records
        if day > self.day:
            self.day, self.today = day, 0
        if day == self.day:
            self.today += records

    def floor(self, old: int) -> tuple[int, bool]:
        """Return what was spent of it at least, and whether that is all.

        Args:
            old: the last row of the log that does not say what was charged.
        """
        exact, total = self.row >= old, self.entry[2]
        return total if exact else max(total, self.least), exact


@dataclass(slots=True)
class Standing:
    """What the rows so far say of one client.

    Attributes:
        own: its own account.
        low, high: the database last saw it at this time at least, and at most.
        step: that stands.
        taken: when it was.
        until: it ends.
    """

    own: Balance = field(default_factory=Balance)
    low: float = 0.0
    high: float = 0.0
    step: Step = Step.NONE
    taken: float = 0.0
    until: float = 0.0

    def stood(self, at: float) -> str:
        """Return the step that a call is judged by, in a word."""
        return self.step.name.lower() if at < self.until else "none"


def same(value: Any, right: float, exact: bool) -> bool:
    """Whether a number of the database, which may be anything, is the right one, or above it where that may be."""
    return isinstance(value, int) and (value == right or (value > right and not exact))


def step_words(step: Any, until: Any) -> str:
    """Return a step and its end in words, also where a database holds nonsense."""
    try:
        name = Step(step)
        if name is Step.NONE or not until:
            return "no step"
        ends = "until released" if until > FOR_GOOD else f"until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, TypeError, OverflowError, OSError):
        return f"the step {step!r} until {until!r}"
    return f"the step {name.name.lower()!r} {ends}"
