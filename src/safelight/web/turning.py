"""Long lists, fifty a page: links that work without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.datastructures import QueryParams

EACH = 50  # rows on a page

Item = TypeVar("Item")


@dataclass(frozen=True)
class Turned(Generic[Item]):
    """One page of a list.

    Attributes:
        items: on this page.
        words: which page of how many, or which rows; "" where all is on one page.
        here: address of this page, from its question mark on, or "".
        before: address of the page before, or "".
        after: address of the page after, or "".
    """

    items: Sequence[Item]
    words: str
    here: str
    before: str
    after: str


def turned(items: Sequence[Item], query: QueryParams) -> Turned[Item]:
    """Return the page of a list that `page` of an address asks for; the nearest where there is no such page."""
    pages = max(1, -(-len(items) // EACH))
    page = min(max(number_of(query, "page") or 1, 1), pages)
    words = f"{(page - 1) * EACH + 1} to {min(page * EACH, len(items))} of {len(items)}" if pages > 1 else ""
    return Turned(
        items[(page - 1) * EACH : page * EACH],
        words,
        f"?page={page}" if page > 1 else "",
        f"?page={page - 1}" if page > 1 else "",
        f"?page={page + 1}" if page < pages else "",
    )


def number_of(query: QueryParams, name: str) -> int | None:
    """Return a whole number that an address holds, or None."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
