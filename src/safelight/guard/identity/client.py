"""A client that has shown who it is."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 200  # characters of a name that an identity provider gives


@dataclass(frozen=True)
class Client:
    """Who asks.

    Attributes:
        id: as in guard.toml; "jwt:" and the claim for who shows a token.
        cohort: its group, or "".
        token: keyed hash of a token that may be used once, or "".
        until: when that token ends, in seconds since 1970.
    """

    id: str
    cohort: str = ""
    token: str = ""
    until: float = 0.0


EVERYONE = Client("everyone")
"""All who ask, where the policy names no clients: made-up keys then buy no budget."""


def is_name(text: object) -> bool:
    """Whether this can be a name in the log and on a terminal: printable, and not too long."""
    return isinstance(text, str) and 0 < len(text) <= LONGEST and text.isprintable()
