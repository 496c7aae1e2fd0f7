"""What all attacks on a released table have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pandas as pd

from safelight.errors import InputError, did_you_mean
from safelight.recipes.base import Recipe
from safelight.recipes.release import LeakyRelease
from safelight.targets.base import Images, Table, View
from safelight.threat import Access, Observes


class ReleaseAttack:
    """Reads a released table and asks no model: there is no query to count and no access to grant."""

    needs: ClassVar[Access] = Access.LABEL
    observes: ClassVar[Observes] = Observes.RELEASE
    deep: ClassVar[bool] = False

    def planted(self, inputs: Images | Table, leak: float) -> Recipe:
        """Return how a table is released that copies this share of its records."""
        return LeakyRelease(leak)


def released(view: View, columns: Sequence[str]) -> pd.DataFrame:
    """Return the released table with these columns, in this order.

    Raises:
        AccessDenied: the attacker sees no release.
        InputError: the release lacks one of the columns.
    """
    table = view.released()
    for column in columns:
        if column not in table.columns:
            raise InputError(
                f"The released table has no column {column!r}; its columns are {', '.join(map(str, table.columns))}."
                f"{did_you_mean(str(column), map(str, table.columns))}"
            )
    return table[list(columns)]
