"""A log whose rows hold on to one another: an edit, a deletion or another order shows.

Each row's digest is HMAC-SHA256(key, digest before || number || row). Without the key nobody can write a digest that
fits. Rows cut off at the end leave a chain that is whole in itself; heads noted elsewhere tell.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safelight.errors import InputError, MissingExtra

try:
    import orjson
except ImportError:
    raise MissingExtra("orjson", "guard", "The guard's log") from None

START = bytes(32)


class Row(NamedTuple):
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
    try:
        return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:  # halves of characters from a client's path, or whole numbers beyond 64 bits
        return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def digest(key: bytes, before: bytes, number: int, text: str) -> bytes:
    """Return the digest (32 bytes) of a row."""
    return hmac.digest(key, before + number.to_bytes(8, "big") + text.encode(), "sha256")


def verify(
    key: bytes,
    rows: Iterable[tuple[int, str, bytes]],
    noted: Iterable[Head] = (),
    look: Callable[[int, bytes, str], None] | None = None,
) -> tuple[Head, str]:
    """Walk a log from its first row.

    Args:
        key: that the log was written with.
        rows: (number, text, digest), in order.
        noted: earlier heads, kept elsewhere, that the log must still hold.
        look: is shown each row's number, digest and text once it was found to fit.

    Returns:
        (head, trouble): the last row that fits, and what is wrong with the next one, or "".
    """
    marks: dict[int, set[str]] = {}
    for mark in noted:
        marks.setdefault(mark.rows, set()).add(mark.digest.lower())
    before, number, seal, same = START, 0, hmac.digest, hmac.compare_digest
    for place, text, found in rows:
        if place != number + 1:
            return Head(number, before.hex()), f"row {number + 1} is missing"
        # `digest`, written out: a log has millions of rows
        if not same(seal(key, before + place.to_bytes(8, "big") + text.encode(), "sha256"), found):
            trouble = f"row {place} was changed, or the row before it, or the key is another one"
            return Head(number, before.hex()), trouble
        if marks and place in marks and marks[place] != {found.hex()}:
            return Head(number, before.hex()), f"row {place} is not the one that was noted"
        before, number = found, place
        if look is not None:
            look(number, found, text)
    beyond = [rows for rows in marks if rows > number]
    trouble = f"the log ends at row {number}, and row {max(beyond)} was noted" if beyond else ""
    return Head(number, before.hex()), trouble


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


def secret_of(variable: str) -> bytes:
    """Return the key (32 bytes) in an environment variable; raises InputError where it holds none."""
    try:
        key = bytes.fromhex(os.environ.get(variable, "").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InputError(
            f"The environment variable {variable} holds no key of 64 hexadecimal digits; put the key of the log there."
        )
    return key


def sealed(key: bytes, content: bytes) -> bytes:
    """Return the keyed hash (32 bytes) of what must not be kept itself: a body."""
    return hmac.digest(key, b"body" + content, hashlib.sha256)
