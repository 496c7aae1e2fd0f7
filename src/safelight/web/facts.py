"""What the pages show, taken from the guard's store and policy. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from safelight.guard.judge import DAY, ClientState, Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.sight import RISK
from safelight.guard.store import Document, Store

STEPS = {
    Step.NONE: "",
    Step.LOG: "watched",
    Step.COARSEN: "coarser answers",
    Step.SLOW: "slowed",
    Step.CHALLENGE: "challenged",
    Step.QUARANTINE: "in quarantine",
    Step.REFUSE: "refused",
}


@dataclass(frozen=True)
class Risk:
    """What the watch last noted of a client.

    Attributes:
        score: the largest of its signals, standardised.
        threshold: above which it rings.
        signal: that stood out most.
        signals: standardised score of each.
        history: (seconds since 1970, score), oldest first.
    """

    score: float
    threshold: float
    signal: str
    signals: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[tuple[float, float]] = ()

    @property
    def share(self) -> float:
        """How much of the way to an alarm it has gone (>= 0); 1 and more rings."""
        return max(0.0, self.score / self.threshold) if self.threshold > 0 else 0.0


@dataclass(frozen=True)
class Client:
    """One client, for a row of the table.

    Attributes:
        name: its id.
        cohort: its group, or "".
        today: records answered today.
        per_day: that it may have, or None.
        total: records answered ever.
        lifetime: that it may have, or None.
        step: in words, or "".
        held: whether nothing passes.
        until: when the step ends, as text, or "".
        risk: None where nothing watches.
    """

    name: str
    cohort: str
    today: int
    per_day: int | None
    total: int
    lifetime: int | None
    step: str
    held: bool
    until: str
    risk: Risk | None


@dataclass(frozen=True)
class Line:
    """One row of the log.

    Attributes:
        number: of the row.
        at: when, as text.
        what: happened.
        client: whom it is about, or "".
        rest: everything else that it says, as text.
    """

    number: int
    at: str
    what: str
    client: str
    rest: str


def clients(store: Store, policy: GuardPolicy, now: float) -> list[Client]:
    """Return every client that is named in the policy or ever asked; those held first, then the riskiest."""
    states = store.clients()
    cohorts = {key.id: key.cohort for key in policy.clients.values()}
    risks = {document.name: risk_of(document) for document in store.documents(RISK)}
    names = {*states, *cohorts}
    found = [
        _client(name, cohorts.get(name, ""), states.get(name, ClientState()), policy, risks.get(name), now)
        for name in names
    ]
    return sorted(
        found, key=lambda each: (not each.held, -(each.risk.share if each.risk else 0.0), -each.today, each.name)
    )


def lines(store: Store, count: int, client: str | None = None) -> list[Line]:
    """Return the last rows of the log, newest first."""
    return [_line(row.number, json.loads(row.text)) for row in store.tail(count, client)]


def moment(at: float) -> str:
    """Return a time as text, UTC."""
    if at > 4e9:  # in the next century: for good
        return "for good"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def risk_of(document: Document) -> Risk:
    """Return what the watch kept of a client."""
    facts = document.facts
    signals = {str(name): float(score) for name, score in facts.get("signals", {}).items()}
    signal = max(signals, key=lambda name: signals[name], default="")
    history = [(float(at), float(score)) for at, score in facts.get("history", [])]
    return Risk(signals.get(signal, 0.0), float(facts.get("threshold", 0.0)), signal, signals, history)


def _client(name: str, cohort: str, state: ClientState, policy: GuardPolicy, risk: Risk | None, now: float) -> Client:
    step = state.stands(now)
    return Client(
        name=name,
        cohort=cohort,
        today=state.today if state.day == int(now // DAY) else 0,
        per_day=policy.budget_of(name).per_day,
        total=state.total,
        lifetime=policy.budget_of(name).lifetime,
        step=STEPS[step],
        held=step >= Step.QUARANTINE,
        until=moment(state.until) if step is not Step.NONE else "",
        risk=risk,
    )


def _line(number: int, facts: dict[str, Any]) -> Line:
    at, what, client = facts.pop("at", 0.0), facts.pop("what", ""), facts.pop("client", "")
    if isinstance(body := facts.get("body"), str):
        facts["body"] = body[:12]  # a keyed hash: enough to see repeats
    rest = ", ".join(f"{name} {value}" for name, value in facts.items() if value not in ("", None, [], {}))
    return Line(number, moment(float(at)), str(what), str(client), rest)
