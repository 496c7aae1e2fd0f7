"""What the pages show, taken from the guard's store and policy. Nothing here writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape
from starlette.datastructures import QueryParams

from safelight.guard.judge import DAY, FOR_GOOD, ClientState, Step
from safelight.guard.policy import GuardPolicy
from safelight.guard.responses.opening import cohorts_of
from safelight.guard.sight import RISK
from safelight.guard.store import Document, Store
from safelight.guard.stores.base import LAST
from safelight.web.turning import EACH, Turned, number_of

TIMES = ("until", "since", "aware", "notified", "opened", "start", "end")
"""Facts of the log's rows that are seconds since 1970."""
VERIFIED = ("spent", "aside")
"""Those that are for `safelight guard verify` alone."""
DEEDS = {
    "log": "watching of",
    "coarsen": "coarser answers for",
    "slow": "slower answers for",
    "challenge": "challenge for",
    "quarantine": "quarantine of",
    "refuse": "refusal of",
    "rollback": "rollback of",
}
"""What is done, in words that go before whom it is done about."""
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
        until: when the step ends, in seconds since 1970.
        risk: None where nothing watches, or nothing stood out.
    """

    name: str
    cohort: str
    today: int
    per_day: int | None
    total: int
    lifetime: int | None
    step: str
    held: bool
    until: float
    risk: Risk | None


@dataclass(frozen=True)
class Line:
    """One row of the log.

    Attributes:
        number: of the row.
        at: when, in seconds since 1970.
        what: happened.
        client: whom it is about, or "".
        rest: everything else that it says; times as text, UTC.
    """

    number: int
    at: float
    what: str
    client: str
    rest: Markup


def clients(store: Store, policy: GuardPolicy, now: float) -> list[Client]:
    """Return every client that is named in the policy or ever asked; those held first, then the riskiest."""
    states = store.clients()
    cohorts = cohorts_of(policy)
    risks = {document.name: risk_of(document) for document in store.documents(RISK)}
    names = {*states, *cohorts}
    found = [
        _client(name, cohorts.get(name, ""), states.get(name, ClientState()), policy, risks.get(name), now)
        for name in names
    ]
    return sorted(
        found, key=lambda each: (not each.held, -(each.risk.share if each.risk else 0.0), -each.today, each.name)
    )


def lines(store: Store, count: int, client: str | None = None, before: int = LAST) -> list[Line]:
    """Return the last rows of the log before a row, newest first."""
    return [_line(row.number, json.loads(row.text)) for row in store.tail(count, client, before)]


def log_page(store: Store, query: QueryParams, client: str | None = None) -> Turned[Line]:
    """Return the page of the log, newest first, that begins before the row that `before` of an address names."""
    before = number_of(query, "before")
    found = lines(store, EACH + 1, client, before or LAST)
    shown, more = found[:EACH], len(found) > EACH
    words = f"rows {shown[0].number} to {shown[-1].number}" if shown and (before or more) else ""
    here = f"?before={before}" if before else ""
    return Turned(shown, words, here, "?newest" if before else "", f"?before={shown[-1].number}" if more else "")


def moment(at: float) -> str:
    """Return a time as text, UTC."""
    if at > FOR_GOOD:
        return "for good"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def when(at: float) -> Markup:
    """Return a time as a <time> that programs read, too."""
    if at > FOR_GOOD:
        return Markup("for good")
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}">{}</time>').format(stamp, moment(at))


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
        until=state.until,
        risk=risk,
    )


def _line(number: int, facts: dict[str, Any]) -> Line:
    at, what, client = facts.pop("at", 0.0), facts.pop("what", ""), facts.pop("client", "")
    for name in ("body", "seal"):
        if isinstance(hashed := facts.get(name), str):
            facts[name] = hashed[:12]  # keyed hashes: enough to see repeats
    return Line(number, float(at), str(what), str(client), _words(facts))


def _words(facts: Mapping[str, Any], times: bool = False) -> Markup:
    """Return facts as "name value, name value", with what is empty left out."""
    told = [
        escape(name) + " " + _value(value, times or name in TIMES)
        for name, value in facts.items()
        if name not in VERIFIED and value not in ("", None, [], {})
    ]
    return Markup(", ").join(told)


def _value(value: Any, is_time: bool) -> Markup:
    if isinstance(value, dict):
        return Markup("({})").format(_words(value, is_time))
    if isinstance(value, list):
        quoted = (Markup("'{}'").format(each) if isinstance(each, str) else _value(each, is_time) for each in value)
        return Markup(" ").join(quoted)
    if is_time and isinstance(value, (int, float)) and value > 1e8:
        return when(float(value))
    return escape(f"{value:.6g}" if isinstance(value, float) else value)
