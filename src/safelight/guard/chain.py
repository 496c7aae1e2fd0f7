"""A log whose rows hold on to one another: an edit, a deletion or another order shows.

Each row's digest is HMAC-SHA256(key, digest before || number || row). Without the key nobody can write a digest that
fits. Rows cut off at the end leave a chain that is whole in itself; a head noted elsewhere tells.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safelight.errors import InputError

START = bytes(32)
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Row:
    """One row of the log.

    Attributes:
        number: 1, 2, 3, ...
        text: JSON, as it was hashed.
        digest: 32 bytes.
    """

    number: int
    text: str
    digest: bytes


@dataclass(frozen=True)
class Head:
    """The end of a log: its number of rows, and the digest of the last one in hexadecimal digits."""

    rows: int
    digest: str


def text_of(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON that is the same for the same facts."""
    return _JSON.encode(facts)


def digest(key: bytes, before: bytes, number: int, text: str) -> bytes:
    """Return the digest (32 bytes) of a row."""
    return hmac.digest(key, before + number.to_bytes(8, "big") + text.encode(), "sha256")


def verify(key: bytes, rows: Iterable[Row], noted: Head | None = None) -> tuple[Head, str]:
    """Walk a log from its first row.

    Args:
        key: that the log was written with.
        rows: in order.
        noted: an earlier head, kept elsewhere, that the log must still hold.

    Returns:
        (head, trouble): the last row that fits, and what is wrong with the next one, or "".
    """
    before, number, seen = START, 0, noted is None or noted.rows == 0
    for row in rows:
        head = Head(number, before.hex())
        if row.number != number + 1:
            return head, f"row {number + 1} is missing"
        if not hmac.compare_digest(digest(key, before, row.number, row.text), row.digest):
            return head, f"row {row.number} was changed, or the row before it, or the key is another one"
        before, number = row.digest, row.number
        if noted is not None and number == noted.rows:
            seen = hmac.compare_digest(before.hex(), noted.digest.lower())
            if not seen:
                return head, f"row {number} is not the one that was noted"
    if not seen and noted is not None:
        return Head(number, before.hex()), f"the log ends at row {number}, and row {noted.rows} was noted"
    return Head(number, before.hex()), ""


def secret(path: Path) -> bytes:
    """Return the key (32 bytes) in a file that only its owner can read; make both where there is none.

    Raises:
        InputError: the file cannot be read or made, others can read it, or it holds no key.
    """
    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "w") as file:
                file.write(os.urandom(32).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise InputError(f"{path} can be read by others; run: chmod 600 {path}.")
        key = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise InputError(f"The key of the log, {path}, cannot be read or made ({error.strerror}).") from None
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InputError(
            f"{path} holds no key of 64 hexadecimal digits; put the one back that the log was written with."
        )
    return key


def sealed(key: bytes, content: bytes) -> bytes:
    """Return the keyed hash (32 bytes) of what must not be kept itself: a body."""
    return hmac.digest(key, b"body" + content, hashlib.sha256)
