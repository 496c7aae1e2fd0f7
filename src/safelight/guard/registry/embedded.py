"""The registry inside the guard's own database: an alias is one document, a move one transaction with its log row."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.guard.registry.pointing import Move, Pointed, kept
from safelight.guard.store import Store

KIND = "alias"


@dataclass(frozen=True)
class Embedded:
    """Aliases as documents of the store.

    Of moves at the same time exactly one is kept: each expects the document as its mover found it.

    Attributes:
        store: of the guard.
    """

    store: Store

    def look(self, name: str) -> str:
        document = self.store.read(KIND, name)
        return str(document.facts["version"]) if document else ""

    def read(self, name: str) -> Pointed:
        document = self.store.read(KIND, name)
        if document is None:
            return Pointed()
        moves = tuple(map(Move.of, document.facts["moves"]))
        return Pointed(str(document.facts["version"]), document.version, moves)

    def move(self, name: str, move: Move, found: Pointed) -> None:
        self.store.write(KIND, name, kept(found, move), found.stamp, what=move.what, at=move.at, **move.facts)
