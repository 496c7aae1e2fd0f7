"""Canaries to plant in training texts: random codes that stand nowhere else, one sentence a line."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from safelight.errors import InputError
from safelight.guard.canaries import LENGTH, normal

SIGNS = "abcdefghijkmnpqrstuvwxyz23456789"
AROUND = "Reference code: "
"""What stands before a planted code."""


def drawn(count: int) -> tuple[str, ...]:
    """Return so many random codes of 25 letters and digits (125 bits), which no model says that was not taught them."""
    groups = (("".join(secrets.choice(SIGNS) for _ in range(5)) for _ in range(5)) for _ in range(count))
    return tuple("-".join(code) for code in groups)


def write_planted(path: Path, codes: Iterable[str]) -> None:
    """Write codes as sentences to train on, one a line, for their owner alone.

    Raises:
        InputError: the file is there, or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{AROUND}{code}.\n" for code in codes)
    except FileExistsError:
        raise InputError(f"{path} holds canaries already; leave --plant out to use them, or name a new file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name another file with --planted.") from None


def read_planted(path: Path) -> tuple[str, ...]:
    """Return the codes that `write_planted` wrote; raises InputError where a line holds none."""
    codes = []
    for number, line in enumerate(read_lines(path), start=1):
        code = line.removeprefix(AROUND).removesuffix(".")
        if not line.startswith(AROUND) or len(normal(code)) < LENGTH:
            raise InputError(f"{path} holds no canary at number {number}; name a file that --plant made.")
        codes.append(code)
    return tuple(codes)


def read_lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a text in UTF-8 that are not empty; raises InputError where it cannot be read."""
    try:
        return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a text with one secret a line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text in UTF-8; write it again.") from None
