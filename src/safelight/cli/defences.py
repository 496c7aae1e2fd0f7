"""List every defence."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def defences(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List every defence with its source.

    Args:
        json: print one JSON list instead of a table.
    """
    from safelight.defences.base import all_defences, room

    rows = [
        {"name": name, "title": kind.title, "room": room(kind), "source": kind.source}
        for name, kind in all_defences().items()
    ]
    if json:
        import json as writer

        print(writer.dumps(rows, indent=2))
        return 0
    print(f"{'name':22}{'defence':38}{'works on':13}source")
    for row in rows:
        print(f"{row['name']:22}{row['title']:38}{row['room']:13}{row['source']}")
    print("\nNext: safelight explain NAME, or safelight tradeoff --try NAME")
    return 0
