"""A released table, "anonymised" or synthetic, as what is looked at: it is read, it answers no query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy import ndarray as Array
from pandas import DataFrame

from safelight.data.tables import read_frame
from safelight.errors import AccessDenied, InputError, did_you_mean
from safelight.targets.base import Table, Target
from safelight.threat import Access, Observes


@dataclass(frozen=True)
class Released:
    """The table that everybody gets; `View.released` hands it out.

    Attributes:
        table: one row a released record.
        owners: whose row each one is (m,), where its owner says so; it stays behind the door.
        access: the least there is: it answers nothing.
        observes: the door that it stands behind.
    """

    table: DataFrame
    owners: Array | None = None
    access: Access = Access.LABEL
    classes: tuple[str, ...] = ()
    observes: Observes = Observes.RELEASE

    @property
    def inputs(self) -> Table:
        return Table(tuple(self.table.columns))

    def labels(self, x: Any) -> Array:
        """Raise AccessDenied: there is no model behind a table."""
        raise AccessDenied("A released table answers no queries; use an attack on released tables (L).")

    def scores(self, x: Any) -> Array:
        """Raise AccessDenied: there is no model behind a table."""
        return self.labels(x)


def from_release(source: DataFrame | Path | str, name: str | None = None, owner: str | None = None) -> Target:
    """Return a released table as a target.

    Args:
        source: a DataFrame, or a .csv or .parquet file.
        name: for the report; the file's own name when left out.
        owner: column that names whose row each one is, as `Records.person` or else `Records.ids` do; it is taken out of
            what is released, and tells afterwards which links were right.

    Raises:
        InputError: the file cannot be read, the table is empty, a column is not there, or a value is missing.
    """
    table = source if isinstance(source, DataFrame) else read_frame(Path(source))
    name = name or ("released table" if isinstance(source, DataFrame) else Path(source).name)
    if owner is not None and owner not in table.columns:
        columns = [str(column) for column in table.columns]
        raise InputError(
            f"{name} has no owner column {owner!r}; its columns are {', '.join(columns)}.{did_you_mean(owner, columns)}"
        )
    owners = None if owner is None else table[owner].to_numpy()
    table = table if owner is None else table.drop(columns=owner)
    if not len(table) or not len(table.columns):
        raise InputError(f"{name} has {len(table)} rows and {len(table.columns)} columns; a release needs both.")
    missing = table.isna().any()
    if missing.any():
        column = missing.idxmax()
        raise InputError(
            f"The column {column!r} of {name} has {int(table[column].isna().sum())} missing value(s); "
            "fill them, with a word of their own where a value was suppressed."
        )
    return Target(name, Released(table.reset_index(drop=True), owners), f"a released table of {len(table)} rows")
