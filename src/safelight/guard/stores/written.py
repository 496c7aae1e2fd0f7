"""Whether documents are as the log says: the row of each change holds a keyed hash of what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safelight.guard.chain import sealed, text_of


def seal(key: bytes, kind: str, name: str, version: int, facts: Mapping[str, Any]) -> str:
    """Return the keyed hash (64 hexadecimal digits) of a document, for its row of the log."""
    return sealed(key, text_of({"kind": kind, "name": name, "version": version, "facts": facts}).encode()).hex()


@dataclass
class Written:
    """What the rows of a log say of documents, while it is walked. Rows without a hash, of older logs, say nothing.

    Attributes:
        key: of the log.
        last: (kind, name) -> version and hash of the latest change.
        torn: the first document whose versions do not follow one another, since it was taken away or put back; or "".
    """

    key: bytes = field(repr=False)
    last: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    torn: str = ""

    def look(self, text: str) -> None:
        """Take in one row."""
        if '"seal":"' in text:
            facts = json.loads(text)
            if "seal" not in facts:
                return
            kind, name, version = facts["kind"], facts["name"], facts["version"]
            before, _ = self.last.get((kind, name), (version - 1, ""))
            if version != before + 1 and not self.torn:
                self.torn = f"the {kind} {name!r} was at version {version - 1}, and the rows before say {before}"
            self.last[kind, name] = version, facts["seal"]

    def trouble(self, kind: str, there: Mapping[str, tuple[int, Mapping[str, Any]]], grown: bool) -> str:
        """Return what is wrong with a document of a kind, or "".

        Args:
            kind: of document.
            there: name -> version and facts, read after the walk.
            grown: whether the log grew meanwhile, so that a document may be newer than the walk.
        """
        for (mine, name), (version, noted) in self.last.items():
            if mine != kind:
                continue
            if name not in there:
                return f"the {kind} {name!r} is gone"
            found, facts = there[name]
            same = found == version and seal(self.key, kind, name, version, facts) == noted
            if not (same or (found > version and grown)):
                return f"the {kind} {name!r} is not what was written"
        return ""
