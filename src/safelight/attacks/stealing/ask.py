"""What all ways to copy a model share: which models they fit, and how many questions the budget pays for."""

from __future__ import annotations

from safelight.attacks.stealing.space import LEAST
from safelight.errors import AccessDenied, BudgetSpent
from safelight.targets.base import Model, Side, View

MARKS = (100, 300, 1000, 3000, 10000)
"""Queries after which a copy is kept, for fidelity against queries."""


def misfit(model: Model, side: Side) -> str:
    """Return why such a model cannot be asked made-up questions, or an empty string."""
    if getattr(model, "on_file", False):
        return "it asks about records that are not on file"
    count = 0 if side.public is None else len(side.public)
    return "" if count >= LEAST else f"it needs {LEAST} public records, and there are {count}"


def affordable(view: View, most: int) -> int:
    """Return how many queries may be sent, at the most `most`.

    Raises:
        AccessDenied: the model is a regressor.
        BudgetSpent: not one is left.
    """
    if not view.classes:
        raise AccessDenied("This attack copies a classifier, and the target has no classes.")
    if view.left() < 1:
        raise BudgetSpent("The query budget is empty; this attack needs at least 1 query.")
    return int(min(most, view.left()))
