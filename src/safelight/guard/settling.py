"""When a file that changed may be read: not while somebody still writes it."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STILL = 0.1
"""Seconds without a change after which a file is read that says all that was said before, and perhaps more."""
LONGER = 1.0
"""The same for a file that says less, ends within a line, or is no TOML: one that is being written looks so."""

Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does: its time, size and number; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass
class Settling:
    """Follow the writing of one file, a look at a time; no look waits for anything.

    A file counts as still since it was changed last, by its own time, or since its stamp was seen first, whichever is
    longer ago: the clock of a file server may be another one. Cut anywhere, a TOML file says less than the whole, be it
    valid or not, or ends within a line, and for that it must be still for longer.

    Attributes:
        said: places of all values that the file in force has; see `said_in`.
    """

    said: frozenset[str] = frozenset()
    _stamp: Stamp | None = field(default=None, init=False, repr=False)
    _since: float = field(default=-1.0, init=False, repr=False)
    _says_less: bool = field(default=False, init=False, repr=False)

    def is_whole(self, path: Path, stamp: Stamp | None) -> bool:
        """Say whether the file may be read now; costs two clocks, and once a change the reading of its TOML.

        Args:
            path: of the file.
            stamp: of the file, as it was looked at just now.
        """
        now = time.monotonic()
        if stamp != self._stamp or self._since < 0:
            self._stamp, self._since, self._says_less = stamp, now, False
        still = max(now - self._since, time.time() - stamp[0] / 1e9 if stamp else 0.0)
        if still >= LONGER:
            return True
        if still < STILL or self._says_less:
            return False
        self._says_less = not (self.said <= said_in(path) and _ends_a_line(path))
        return not self._says_less


def said_in(path: Path) -> frozenset[str]:
    """Return the places of all values of a TOML file, such as ".budget.per_day" or ".clients.key.0.id", or nothing."""
    try:
        return frozenset(_places(tomllib.loads(path.read_text("utf-8")), ""))
    except (OSError, ValueError):
        return frozenset()


def _ends_a_line(path: Path) -> bool:
    """Say whether the last line of a file is whole; of one that is cut, per_day = 10 may be the half of 1000."""
    try:
        return path.read_bytes().endswith(b"\n")
    except OSError:
        return False


def _places(value: Any, place: str) -> Iterator[str]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield place
    for name, part in parts:
        yield from _places(part, f"{place}.{name}")
