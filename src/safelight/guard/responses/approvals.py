"""What hits many clients waits for a person: asked for, then approved or refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from safelight.errors import Changed, InputError, did_you_mean
from safelight.guard.identity.client import EVERYONE
from safelight.guard.store import Document, Store

KIND = "approval"


class Word(Enum):
    """What became of it."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True)
class Approval:
    """Something that waits for a person's word.

    Attributes:
        name: A0001, A0002, ...
        what: to do: the name of a step, or "rollback".
        clients: that a step is about.
        model: that a rollback is about.
        minutes: that a step holds, counted from the approval; None for good.
        why: signal that rang.
        hit: clients that would be hit, with those that are already.
        of: clients that are active.
        asked: seconds since 1970.
        incident: it belongs to, or "".
        word: pending, approved or refused.
        by: who said so.
        at: when.
        version: of the document, 0 before it is written.
    """

    name: str
    what: str
    clients: tuple[str, ...]
    model: str
    minutes: float | None
    why: str
    hit: int
    of: int
    asked: float
    incident: str = ""
    word: Word = Word.PENDING
    by: str = ""
    at: float = 0.0
    version: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """The document's facts."""
        found = {name: value for name, value in asdict(self).items() if name not in ("name", "version")}
        return {**found, "word": self.word.value}


def approval_of(document: Document) -> Approval:
    """Read an approval from its document."""
    known = {item.name for item in fields(Approval)}
    facts: Mapping[str, Any] = {name: value for name, value in document.facts.items() if name in known}
    told = {"clients": tuple(facts["clients"]), "word": Word(facts["word"])}
    return Approval(name=document.name, version=document.version, **{**facts, **told})


FEW = 3.0
"""Clients that may be hit unasked, one after the other."""


def needs_approval(clients: Iterable[str], hindered: frozenset[str], active: int, above: float) -> int:
    """Return how many clients would be hit where that is too many to do it unasked, else 0.

    One client alone is never too many, unless it is the one client that all are where the policy names none. One after
    the other, three are not either: a burnt key must not keep the guard from the next one where clients are few.

    Args:
        clients: that a step is about.
        hindered: clients that a step from "coarsen" on holds for already.
        active: clients that asked within a day.
        above: share of them that needs an approval, in [0, 1].
    """
    if above >= 1:
        return 0
    new = set(clients) - hindered
    hit = len(new | hindered)
    if EVERYONE.id in new:
        return max(hit, 1)
    few = FEW if len(new) == 1 else 1.0
    return hit if new and hit > max(few, above * active) else 0


@dataclass(frozen=True)
class Approvals:
    """The approvals of a store.

    Attributes:
        store: where they are kept.
    """

    store: Store

    def all(self) -> list[Approval]:
        """Return all, by name; raises StoreFailed."""
        return [approval_of(document) for document in self.store.documents(KIND)]

    def get(self, name: str) -> Approval:
        """Return one; raises InputError where there is none, StoreFailed."""
        document = self.store.read(KIND, name)
        if document is None:
            known = [approval.name for approval in self.all()]
            raise InputError(f"There is no approval {name!r}.{did_you_mean(name, known)}")
        return approval_of(document)

    def ask(self, wanted: Approval) -> Approval:
        """Write a new approval under the next free name; raises StoreFailed."""
        number = len(self.store.documents(KIND)) + 1
        while True:
            named = replace(wanted, name=f"A{number:04d}")
            about = {"act": named.what, "hit": named.hit, "of": named.of, "incident": named.incident}
            try:
                self.store.write(KIND, named.name, named.facts, 0, what="approval asked", at=named.asked, **about)
            except Changed:
                number += 1
                continue
            return replace(named, version=1)

    def widen(self, name: str, clients: Iterable[str], at: float) -> None:
        """Add clients to a pending approval; raises StoreFailed."""
        before = self.get(name)
        after = replace(before, clients=tuple(dict.fromkeys([*before.clients, *clients])))
        if before.word is Word.PENDING and after != before:
            after = replace(after, hit=before.hit + len(after.clients) - len(before.clients))
            self.store.write(KIND, name, after.facts, before.version, what="approval widened", at=at, hit=after.hit)

    def decide(self, name: str, word: Word, by: str, at: float) -> Approval:
        """Approve or refuse, by name, once. It carries nothing out.

        Raises:
            InputError: there is none, it was decided already, or nobody puts a name to it.
            Changed: somebody decided at the same moment.
            StoreFailed: nothing was kept.
        """
        if not by.strip():
            raise InputError("An approval needs the name of who gives it; give --by NAME.")
        before = self.get(name)
        if before.word is not Word.PENDING:
            raise InputError(f"{name} was {before.word.value} by {before.by} already; nothing was changed.")
        after = replace(before, word=word, by=by.strip(), at=round(at, 3))
        what = f"approval {word.value}"
        self.store.write(KIND, name, after.facts, before.version, what=what, at=at, by=after.by, act=after.what)
        return replace(after, version=before.version + 1)
