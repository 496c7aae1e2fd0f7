"""Asking about as many records as the budget pays for."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import BudgetSpent
from safelight.evidence import Scores
from safelight.targets.base import View


def affordable(view: View, records: int, rng: Generator, besides: int = 0, each: int = 1) -> Array:
    """Return the positions (m,), rising, of a random choice of records that the budget pays for.

    Args:
        view: the door; only its budget is read here.
        records: how many there are.
        rng: draws the choice.
        besides: queries that are set aside for something else.
        each: queries that one record takes.

    Raises:
        BudgetSpent: not even one can be asked; nothing was sent.
    """
    order = rng.permutation(records)
    count = int(min(records, (view.left() - besides) // each))
    if count < 1:
        raise BudgetSpent(
            f"This attack needs at least {besides + each} queries and {max(view.left(), 0):.0f} are left; "
            "nothing was sent."
        )
    return np.sort(order[:count])


def beliefs(records: int, rows: Array, scores: Array) -> Scores:
    """Return scores (n, 1): `scores` (m,) at the asked `rows`, and their median for every record not asked."""
    everyone = np.full((records, 1), np.median(scores))
    everyone[rows, 0] = scores
    return Scores(everyone)
