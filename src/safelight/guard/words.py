"""Words for the operator: nothing in them moves a cursor, and nothing is told that a client may have sent."""

from __future__ import annotations

import traceback
from pathlib import Path

from safelight.errors import SafelightError


def one_line(words: str) -> str:
    """Return words without what moves a cursor or begins a line: some come from a client or from a server."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def counted(count: int, name: str) -> str:
    """Return "1 client" or "2 clients"."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def lasting(minutes: float) -> str:
    """Return "1 minute" or "90 minutes"."""
    said = f"{minutes:g}"
    return f"{said} minute" if said == "1" else f"{said} minutes"


def wordless(error: Exception) -> str:
    """Return what broke and where: the words of an error that nobody foresaw may hold what a client sent."""
    if isinstance(error, SafelightError):
        return f"{type(error).__name__}: {error}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
