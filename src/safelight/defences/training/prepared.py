"""A model of changed tables that takes whole rows: what it is asked passes through the same change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy import ndarray as Array
from pandas import DataFrame

from safelight.data.records import Records
from safelight.errors import InputError, did_you_mean
from safelight.targets.base import Model, Table
from safelight.threat import Access


class Change(Protocol):
    """A frozen dataclass that turns one table into another, row by row."""

    def __call__(self, table: DataFrame) -> DataFrame: ...


@dataclass(frozen=True)
class Prepared:
    """A model that was trained on changed rows, asked with whole ones.

    Who holds the model file holds the change as well; white-box attacks read the model behind it by its own columns,
    so that this door shows them nothing.

    Attributes:
        model: trained on changed rows.
        change: of the rows it is asked about.
        inputs: columns of whole rows.
    """

    model: Model
    change: Change
    inputs: Table

    @property
    def access(self) -> Access:
        return min(self.model.access, Access.LOGITS)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.classes

    def labels(self, x: Any) -> Array:
        return self.model.labels(self.change(x))

    def scores(self, x: Any) -> Array:
        return self.model.scores(self.change(x))

    def logits(self, x: Any) -> Array:
        return self.model.logits(self.change(x))  # type: ignore[attr-defined, no-any-return]


def known_columns(defence: Any, records: Records, names: Sequence[str]) -> None:
    """Raise InputError where records are images, or a column named in a setting is not in their table."""
    if not records.is_table:
        raise InputError(f"{defence.title} works on columns of a table, and the records are images; leave it out.")
    columns = list(map(str, records.x.columns))
    for name in names:
        if name not in columns:
            raise InputError(
                f"{defence.title} names the column {name!r}, and the table has {', '.join(columns)}."
                f"{did_you_mean(name, columns)}"
            )
