"""The shape of a protocol: what a question holds is read whole, or it is not understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.errors import MissingExtra
from safelight.guard.columns import Names

try:
    import orjson
except ImportError:
    raise MissingExtra("orjson", "guard", "The guard") from None

SEGMENT = r"(?!\.\.?(?:[/:]|\Z))[^/\\%?#:;\x00-\x20\x7f]+"
"""One part of a path: a name of a model or a version. What could be read in two ways is no name."""
JSON = {"content-type": "application/json"}


class NotUnderstood(Exception):
    """A question or an answer that the guard cannot read whole; the policy says what becomes of it."""


@dataclass(frozen=True)
class Question:
    """What a client asks, read whole and written anew: what the server reads is what was judged.

    Attributes:
        records: how many it asks about (>= 1).
        x: the records (n, values), float64, or object where some are words.
        body: for the server.
        headers: for the server; they describe the body.
        model: that it names, or "" where the path names it.
        streams: whether the answer is asked for piece by piece.
        names: of the values, as the client orders them; () where their place is the meaning.
        beside: returns what else of it may change an answer; left out, nothing does.
    """

    records: int
    x: Array
    body: bytes
    headers: Mapping[str, str]
    model: str = ""
    streams: bool = False
    names: Names = ()
    beside: Callable[[], Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Written:
    """An answer for the client: what is left of it.

    Attributes:
        body: written anew.
        headers: that describe it.
        raw: what the model said, before it was hardened: scores (n, classes), or labels or predictions (n,); of a
            language model NaN (n,), since its texts are no labels.
        texts: of a language model, (prompt, completion) of each record; the completion of an embedding is "".
    """

    body: bytes
    headers: Mapping[str, str]
    raw: Array
    texts: tuple[tuple[str, str], ...] = ()


class Stream(Protocol):
    """An answer that comes piece by piece.

    Attributes:
        done: whether the answer is whole; what comes after it is dropped.
    """

    done: bool

    def feed(self, part: bytes) -> Iterator[bytes]:
        """Yield what is left of each piece that is whole with some more bytes. Raises NotUnderstood."""
        ...

    def end(self) -> Iterator[bytes]:
        """Yield what is left when no more comes. Raises NotUnderstood where the answer is not whole."""
        ...

    def broken(self) -> bytes:
        """Return the piece that tells the client that no more comes, and not why."""
        ...

    def written(self) -> Written:
        """Return what was answered so far, for the watch; its body is empty."""
        ...


class Speaks(Protocol):
    """One protocol. Paths are decoded and start with a slash; header names are in small letters."""

    def asked(self, path: str) -> str | None:
        """Return the model that a POST to this path asks ("" where the path names none), or None: no question."""
        ...

    def described(self, path: str) -> bool:
        """Whether a GET of this path tells of the server's health or a model's inputs, and nothing of records."""
        ...

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        """Read a question; `names` are the outputs that may be asked for, () for any. Raises NotUnderstood."""
        ...

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        """Return what is left of an answer. Raises NotUnderstood."""
        ...


@runtime_checkable
class Streams(Protocol):
    """A protocol that may answer piece by piece."""

    def stream(self, question: Question) -> Stream:
        """Return what reads the answer to a question that asks for it so."""
        ...


def anything(content: bytes) -> Any:
    """Return the JSON in some bytes; NaN, and numbers that JSON does not have, are not understood."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise NotUnderstood("it is no JSON") from None


def loads(content: bytes) -> dict[str, Any]:
    """Return the JSON object in some bytes, as `anything` does."""
    found = anything(content)
    if not isinstance(found, dict):
        raise NotUnderstood("it is no JSON object")
    return found


def dumps(content: Any) -> bytes:
    """Return JSON."""
    try:
        return orjson.dumps(content)
    except TypeError:  # nested too deep
        raise NotUnderstood("it is nested too deep") from None


def laid_out(record: Any) -> Any:
    """Return how a record of JSON is laid out: the names of its fields, in order, or how long its lists are."""
    if isinstance(record, dict):
        return [(name, laid_out(record[name])) for name in sorted(record)]
    lengths = []
    while isinstance(record, list):
        lengths.append(len(record))
        record = record[0] if record else None
    return lengths


def only(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    """Raise NotUnderstood where a JSON object has another key."""
    for key in content:
        if key not in known:
            raise NotUnderstood(f"{where} has the key {key[:40]!r}")


def once_each(names: Names) -> Names:
    """Return names that differ; where "a[0]" is a field and in a list "a", who reads which is not known."""
    if len(set(names)) < len(names):
        raise NotUnderstood("two of its values have one name")
    return names


def table(columns: Sequence[Array]) -> Array:
    """Return arrays (n, ...) side by side (n, values): float64, or object where one holds words."""
    flat = [column.reshape(len(column), -1) for column in columns]
    if any(part.dtype.kind not in "biuf" for part in flat):
        return np.concatenate([part.astype(object) for part in flat], axis=1)
    return np.concatenate([part.astype(np.float64) for part in flat], axis=1)
