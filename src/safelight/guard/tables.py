"""One table of guard.toml, read strictly into a frozen dataclass."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from safelight.errors import InputError
from safelight.settings import filled


def table(where: str, kind: type[Any], content: Any) -> Any:
    """Return `kind` with what a table holds.

    Args:
        where: begins the sentence of an error.
        kind: a dataclass.
        content: of the table.

    Raises:
        InputError: it is no table, a key is unknown or missing, a value is not what it should be.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where} is {content!r}; write a table.")
    missing = [
        item.name
        for item in fields(kind)
        if item.name not in content and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing and set(content) <= {item.name for item in fields(kind)}:
        raise InputError(f"{where} needs the key {missing[0]!r}.")
    return filled(where, kind, content)  # it says which key is unknown, before it makes anything
