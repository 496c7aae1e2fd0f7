"""How fast records come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.window import Window


@dataclass(frozen=True)
class Rate:
    """More records at once than normal clients send: programs that search ask faster than what normal clients do.

    What it cannot see: an attacker with patience, and sites where normal clients send large batches.
    Source: OWASP AI Exchange, control RATE LIMIT.
    """

    name: ClassVar[str] = "rate"
    spread: ClassVar[float] = 60.0
    relative: ClassVar[float] = 2.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the records of the last minute, with weights that fall by 1/e in 60 seconds."""
        return window.minute
