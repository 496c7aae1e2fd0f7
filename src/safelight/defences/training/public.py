"""Public records that a defence needs: they are there, and of the same kind as the members."""

from __future__ import annotations

from typing import Any

from safelight.data.records import Records
from safelight.errors import InputError


def public_for(defence: Any, records: Records) -> Records:
    """Return the public records of a defence.

    Args:
        defence: has `title`, and `public`, the records of other people or None.
        records: the members, images or a table.

    Raises:
        InputError: there are none, or their images or columns are of another shape.
    """
    public: Records | None = defence.public
    if public is None:
        raise InputError(
            f"{defence.title} has no public records to work with; set public = the records of other people."
        )
    if len(public) == 0 or _kind(public) != _kind(records):
        raise InputError(
            f"{defence.title} has {len(public)} public records ({_kind(public)}) for members that are "
            f"{_kind(records)}; give some of the same kind."
        )
    return public


def _kind(records: Records) -> str:
    if records.is_table:
        return f"rows of {', '.join(map(str, records.x.columns))}"
    return f"images {tuple(records.x.shape[1:])}"
