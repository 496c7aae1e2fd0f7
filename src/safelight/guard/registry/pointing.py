"""Where an alias points, and how it came to: the shape of a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

KEPT = 100
"""Moves that an alias remembers; the log has all of them."""


@dataclass(frozen=True)
class Move:
    """One change of an alias.

    Attributes:
        at: seconds since 1970, UTC.
        what: "promote" or "rollback".
        before: version that it pointed at, or "".
        to: version that it points at.
        why: in the words of who did it.
        stands: what the audits say of `to` beside `before`.
        forced: whether it was done against what the audits say.
        audit: SHA-256 of the report of `to`, or "".
    """

    at: float
    what: str
    before: str
    to: str
    why: str = ""
    stands: str = ""
    forced: bool = False
    audit: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """All but time and kind, as JSON holds them."""
        return {name: value for name, value in asdict(self).items() if name not in ("at", "what")}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Move:
        """Return the move that was kept as JSON."""
        return cls(**facts)


@dataclass(frozen=True)
class Pointed:
    """Where an alias points.

    Attributes:
        version: its id, or "" where the alias was never set.
        stamp: of the document that it is kept in, which a move expects unchanged.
        moves: oldest first, at most 100.
    """

    version: str = ""
    stamp: int = 0
    moves: tuple[Move, ...] = ()


class Registry(Protocol):
    """Where aliases of one model are kept; names are "model@alias"."""

    def look(self, name: str) -> str:
        """Return the version that an alias points at, or ""; raises StoreFailed."""
        ...

    def read(self, name: str) -> Pointed:
        """Return the same with its history; raises StoreFailed."""
        ...

    def move(self, name: str, move: Move, found: Pointed) -> None:
        """Point an alias elsewhere; raises Changed where it is not as it was found, and StoreFailed."""
        ...


def kept(found: Pointed, move: Move) -> dict[str, Any]:
    """Return the facts of an alias's document after one more move."""
    moves = [*map(asdict, found.moves), asdict(move)]
    return {"version": move.to, "moves": moves[-KEPT:]}
