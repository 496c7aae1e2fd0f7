"""How much of a day's budget is spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.window import Window


@dataclass(frozen=True)
class BudgetSpent:
    """More records in a day than normal clients ask about: whatever is asked, each answer tells something.

    What it cannot see: attacks that need few records, and volumes that are normal at this site.
    Source: OWASP AI Exchange, control RATE LIMIT; Tramer et al. 2016, arXiv:1609.02943, section 7.
    """

    name: ClassVar[str] = "budget spent"
    spread: ClassVar[float] = 20.0
    relative: ClassVar[float] = 4.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the records of the day."""
        return float(window.today)
