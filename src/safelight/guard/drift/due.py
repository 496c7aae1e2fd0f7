"""Audits that are due: drift, or a person, asks for one; a report closes it. Each change is one row of the log."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from safelight.errors import Changed, InputError, did_you_mean
from safelight.guard.drift.watching import DriftFound
from safelight.guard.registry.audits import Audit
from safelight.guard.store import Document, Store

KIND = "audit-due"


@dataclass(frozen=True)
class Due:
    """One audit that should be made.

    Attributes:
        model: to audit.
        version: that served when it was asked for, or "".
        why: one sentence.
        since: seconds since 1970, UTC.
    """

    model: str
    version: str
    why: str
    since: float


def drifted(store: Store, found: DriftFound, version: str = "") -> None:
    """Log drift, and ask for an audit where none is due yet; raises StoreFailed."""
    store.note("drift", found.at, version=version, why=found.why, **found.facts)
    schedule(store, Due(found.model, version, found.why, found.at))


def schedule(store: Store, due: Due) -> bool:
    """Ask for an audit; return whether none was due already. Raises StoreFailed."""
    document = store.read(KIND, due.model)
    if document is not None and document.facts["open"]:
        return False
    facts = {"open": True, "version": due.version, "why": due.why, "since": round(due.since, 3)}
    with suppress(Changed):  # another guard was faster
        expect = document.version if document else 0
        store.write(KIND, due.model, facts, expect, what="audit due", at=due.since, why=due.why)
        return True
    return False


def dues(store: Store) -> list[Due]:
    """Return the audits that are due, by model; raises StoreFailed."""
    return [
        Due(each.name, each.facts["version"], each.facts["why"], each.facts["since"])
        for each in store.documents(KIND)
        if each.facts["open"]
    ]


def done(store: Store, model: str, audit: Audit, at: float) -> Document:
    """Close an audit that is due with the report that was made.

    Raises:
        InputError: none is due for this model, or the audit does not count.
        Changed: it was changed meanwhile.
        StoreFailed: nothing was kept.
    """
    document = store.read(KIND, model)
    if document is None or not document.facts["open"]:
        known = [due.model for due in dues(store)]
        raise InputError(f"No audit of {model!r} is due.{did_you_mean(model, known)}")
    if audit.whole:
        raise InputError(f"This report closes nothing: {audit.whole}; audit again.")
    closed: dict[str, Any] = {"closed": round(at, 3), "verdict": audit.verdict.value, "report": audit.sha256}
    facts = {**document.facts, **closed, "open": False}
    return store.write(KIND, model, facts, document.version, what="audit done", at=at, **closed)
