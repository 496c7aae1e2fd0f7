"""How far a query budget reaches."""

from __future__ import annotations

from safelight.errors import BudgetSpent
from safelight.targets.base import View

MARKS = (10, 30, 100, 300, 1000, 3000, 10000)


def rounds(view: View, records: int, wanted: int) -> int:
    """Return how many batches of `records` the budget still pays for, at most `wanted`.

    Raises:
        BudgetSpent: it does not pay for one.
    """
    if records > view.left():
        raise BudgetSpent(
            f"One round of this attack sends {records} records and {view.left():.0f} of {view.threat.queries} queries "
            "are left; nothing was sent."
        )
    return int(min(wanted, view.left() // records))


def passed(before: float, after: float) -> bool:
    """Whether the queries a class crossed one of the marks of the leak-against-queries curve."""
    return any(before < mark <= after for mark in MARKS)
