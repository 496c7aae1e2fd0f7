"""A docstring is a page: its paragraphs are found by the words that they begin with."""

from __future__ import annotations

import inspect
import re
from typing import Any

_HEADING = re.compile(r"[A-Z][A-Za-z ]{2,30}:( |$)")


def paragraph(thing: object, heading: str) -> str:
    """Return the paragraph of a docstring that starts with `heading` (such as "Who could do it:"), on one line.

    It ends at an empty line, or at the next line that starts like a heading.
    """
    text = inspect.getdoc(thing) or ""
    _, found, rest = text.partition(heading)
    if not found:
        return ""
    lines: list[str] = []
    for line in rest.splitlines():
        if not line.strip() or (lines and _HEADING.match(line)):
            break
        lines.append(line.strip())
    return " ".join(lines).strip()


def meanings(kind: type[Any]) -> dict[str, str]:
    """Return what the docstring says of each setting, by name."""
    block = (inspect.getdoc(kind) or "").partition("\n\nAttributes:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in block.splitlines():
        start = re.match(r" {4}([a-z_]+(?:, [a-z_]+)*): (.*)", line)
        if start:
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
