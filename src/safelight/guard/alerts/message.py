"""What an alert says, whatever the channel. It names no record and no answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

NAME = "SafelightGuard"


@dataclass(frozen=True)
class Message:
    """One alert.

    Attributes:
        key: the same for all messages about one incident, or one client's alarms.
        resolved: whether it is over.
        start: seconds since 1970.
        end: when it was over, or None.
        signal: that stood out most.
        severity: "low", "medium", "high" or "critical".
        model: that was asked.
        scope: "client", "cohort", or "clients" where a person named several.
        guard: 8 hexadecimal digits that tell this guard from others.
        incident: its name, or "".
        client: whose calls rang, or "", or those that a person named.
        cohort: its group, or "".
        done: what was done about it, in words.
    """

    key: str
    resolved: bool
    start: float
    end: float | None
    signal: str
    severity: str
    model: str
    scope: str
    guard: str = ""
    incident: str = ""
    client: str = ""
    cohort: str = ""
    done: tuple[str, ...] = field(default_factory=tuple)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same for the same key."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    @property
    def nameless(self) -> Message:
        """The message without names of clients and cohorts."""
        return replace(self, client="", cohort="")

    @property
    def summary(self) -> str:
        """One line."""
        about = f"{self.incident or 'an alarm'} of the guard"
        named = self.client or self.cohort
        nameless = "several clients" if self.scope == "clients" else f"one {self.scope}"
        who = f" of {self.scope} {named}" if named else f" of {nameless}"
        if self.resolved:
            return f"Over: {about}{who} at model {self.model}"
        return f"{self.severity.upper()}: {about}: {self.signal}{who} at model {self.model}"

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells this alert from others; they stay as they are until it is over."""
        told = {"alertname": NAME, "severity": self.severity, "model": self.model, "scope": self.scope}
        more = {"guard": self.guard, "incident": self.incident, "client": self.client, "cohort": self.cohort}
        return told | {name: value for name, value in more.items() if value}

    @property
    def annotations(self) -> Mapping[str, str]:
        """What a person reads."""
        return {"summary": self.summary, "signal": self.signal, "done": "; ".join(self.done) or "nothing"}

    @property
    def facts(self) -> dict[str, Any]:
        """All of it as JSON holds it, times as text."""
        facts = asdict(self) | {"fingerprint": self.fingerprint, "summary": self.summary, "start": moment(self.start)}
        del facts["key"]
        return facts | {"end": None if self.end is None else moment(self.end), "done": list(self.done)}


def moment(at: float) -> str:
    """Return a time as RFC 3339 has it, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
