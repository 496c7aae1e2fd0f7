"""Incidents: from an alarm to a closed case. Each step is a row of the log, written with the document or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from typing import Any

from safelight.errors import Changed, InputError, did_you_mean
from safelight.guard.alarm import Alarm
from safelight.guard.chain import Head
from safelight.guard.store import Document, Store

KIND = "incident"
TRIES = 8  # of a change that somebody else's change came before
MOST = 1000  # numbers of rows that one incident names; their count goes on


class Stage(Enum):
    """How far an incident is."""

    OPENED = "opened"
    TRIAGED = "triaged"
    CONTAINED = "contained"
    ERADICATED = "eradicated"
    RECOVERED = "recovered"
    CLOSED = "closed"


NEXT: Mapping[Stage, tuple[Stage, ...]] = {
    Stage.OPENED: (Stage.TRIAGED,),
    Stage.TRIAGED: (Stage.CONTAINED, Stage.CLOSED),  # closed from here: it was a false alarm
    Stage.CONTAINED: (Stage.ERADICATED, Stage.TRIAGED),
    Stage.ERADICATED: (Stage.RECOVERED, Stage.TRIAGED),
    Stage.RECOVERED: (Stage.CLOSED, Stage.TRIAGED),  # back to triaged: it came again
    Stage.CLOSED: (),
}


class Severity(Enum):
    """How bad it may be; a playbook says so, and a person may say otherwise."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Serious(Enum):
    """Whether a person holds it for a serious incident of Regulation (EU) 2024/1689, Art. 3(49)."""

    UNDECIDED = "undecided"
    NO = "no"
    YES = "yes"
    WIDESPREAD = "widespread"
    CRITICAL = "critical infrastructure"
    DEATH = "death"


@dataclass(frozen=True)
class Incident:
    """What is known of an incident. It holds no record and no answer.

    Attributes:
        name: I0001, I0002, ...
        opened: seconds since 1970, UTC.
        severity: how bad it may be.
        client: whose calls rang, or "" for a cohort or several clients.
        cohort: its group, or "".
        models: that were asked.
        versions: of those models that served meanwhile.
        playbook: that opened it, or "" where a person did.
        head: of the log when it was opened, "rows:digest": `safelight guard verify --noted` holds the log to it.
        last: the head at its latest alarm.
        rows: numbers of the rows of its alarms, at most 1000.
        alarms: how many there were.
        signals: largest score of each signal that rang.
        scores: of every signal of the client, as they stood when it was opened.
        measures: what was done: {at, what, client, until}, the last 1000 at most; the log has all.
        steps: {at, to, by, note}.
        stage: how far it is.
        people: estimate of a person, or None.
        aware: when a person was sure enough, or None.
        serious: what a person decided.
        notified: law -> when the authority was told.
        clients: several that a person named, else ().
        version: of the document, 0 before it is written.
    """

    name: str
    opened: float
    severity: Severity = Severity.MEDIUM
    client: str = ""
    cohort: str = ""
    models: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    playbook: str = ""
    head: str = ""
    last: str = ""
    rows: tuple[int, ...] = ()
    alarms: int = 0
    signals: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    measures: tuple[Mapping[str, Any], ...] = ()
    steps: tuple[Mapping[str, Any], ...] = ()
    stage: Stage = Stage.OPENED
    people: int | None = None
    aware: float | None = None
    serious: Serious = Serious.UNDECIDED
    notified: Mapping[str, float] = field(default_factory=dict)
    clients: tuple[str, ...] = ()
    version: int = 0

    @property
    def open(self) -> bool:
        return self.stage is not Stage.CLOSED

    @property
    def named(self) -> tuple[str, ...]:
        """The clients that it names; none where it is about a whole cohort."""
        return (self.client,) if self.client else self.clients

    @property
    def about(self) -> str:
        """Whom it is about, in words."""
        if not self.named:
            return f"cohort {self.cohort}" if self.cohort else "clients without a cohort"
        return ("client " if self.client else "clients ") + ", ".join(self.named)

    @property
    def facts(self) -> dict[str, Any]:
        """The document's facts."""
        found = {name: value for name, value in asdict(self).items() if name not in ("name", "version")}
        return {name: value.value if isinstance(value, Enum) else value for name, value in found.items()}


def incident_of(document: Document) -> Incident:
    """Read an incident from its document."""
    known = {item.name for item in fields(Incident)}
    facts: dict[str, Any] = {name: value for name, value in document.facts.items() if name in known}
    facts |= {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
    for name, kind in (("severity", Severity), ("stage", Stage), ("serious", Serious)):
        facts[name] = kind(facts[name])
    return Incident(name=document.name, version=document.version, **facts)


def joined(incident: Incident, alarm: Alarm, head: Head, severity: Severity = Severity.LOW) -> Incident:
    """Return an incident with one more alarm, whose row is the head of the log.

    The first alarm makes it as bad as its playbook says; after that only a person changes how bad it is.
    """
    signals = dict(incident.signals)
    signals[alarm.signal] = max(round(alarm.score, 4), signals.get(alarm.signal, float("-inf")))
    noted = f"{head.rows}:{head.digest}"
    return replace(
        incident,
        severity=incident.severity if incident.alarms else max(incident.severity, severity, key=[*Severity].index),
        head=incident.head or noted,
        last=noted,
        rows=(*incident.rows, head.rows)[:MOST],
        alarms=incident.alarms + 1,
        signals=signals,
        models=tuple(dict.fromkeys([*incident.models, alarm.model])),
        versions=tuple(dict.fromkeys([*incident.versions, *([alarm.version] if alarm.version else [])])),
    )


def concerns(incident: Incident, alarm: Alarm) -> bool:
    """Say whether an alarm is about whom an incident is about."""
    if alarm.client or incident.named:
        return alarm.client in incident.named
    return incident.cohort == alarm.cohort


def moved(incident: Incident, to: Stage, by: str, note: str, at: float) -> Incident:
    """Return an incident one step further.

    Who triages it has looked at it: the clocks of the law start then, unless a person said an earlier or a later time.

    Raises:
        InputError: it cannot go there from here, or nobody puts a name to it.
    """
    if not by.strip():
        raise InputError("A step of an incident needs the name of who takes it; give --by NAME.")
    if to not in NEXT[incident.stage]:
        ways = " or ".join(stage.value for stage in NEXT[incident.stage]) or "nowhere; the next alarm opens another"
        raise InputError(f"{incident.name} is {incident.stage.value} and cannot become {to.value}; it goes to {ways}.")
    step = {"at": round(at, 3), "to": to.value, "by": by.strip(), "note": note.strip()}
    aware = at if to is Stage.TRIAGED and incident.aware is None else incident.aware
    return replace(incident, stage=to, steps=(*incident.steps, step), aware=aware)


def stage_of(word: str) -> Stage:
    """Return the stage of a word; raises InputError."""
    words = [stage.value for stage in Stage]
    if word not in words:
        raise InputError(f"There is no stage {word!r}; use one of {', '.join(words)}.{did_you_mean(word, words)}")
    return Stage(word)


def countable(people: int | None) -> None:
    """Refuse a number of people that cannot be; raises InputError."""
    if people is not None and people < 0:
        raise InputError(f"The number of people is {people}; it must be 0 or more.")


@dataclass(frozen=True)
class Incidents:
    """The incidents of a store.

    Attributes:
        store: where they are kept.
    """

    store: Store

    def all(self) -> list[Incident]:
        """Return all incidents, by name; raises StoreFailed."""
        return [incident_of(document) for document in self.store.documents(KIND)]

    def get(self, name: str) -> Incident:
        """Return one incident; raises InputError where there is none, StoreFailed."""
        document = self.store.read(KIND, name)
        if document is None:
            known = [incident.name for incident in self.all()]
            raise InputError(f"There is no incident {name!r}.{did_you_mean(name, known)}")
        return incident_of(document)

    def open(self, incident: Incident, by: str = "", **logged: Any) -> Incident:
        """Write a new incident under the next free name; raises StoreFailed.

        Args:
            incident: without a name.
            by: who opens it, "" where the guard does.
            logged: more for the log.
        """
        number = len(self.store.documents(KIND)) + 1
        while True:
            named = replace(incident, name=f"I{number:04d}")
            about = {"client": incident.client, "severity": incident.severity.value, "playbook": incident.playbook}
            about |= logged
            try:
                self.store.write(
                    KIND, named.name, named.facts, 0, what="incident opened", at=incident.opened, by=by, **about
                )
            except Changed:
                number += 1
                continue
            return replace(named, version=1)

    def change(
        self, name: str, thought: Callable[[Incident], Incident], *, what: str, at: float, **logged: Any
    ) -> Incident:
        """Write what a thought makes of an incident, with its row of the log.

        Raises:
            InputError: there is no such incident, or the thought refuses.
            Changed: others change it all the time.
            StoreFailed: nothing was kept.
        """
        for left in reversed(range(TRIES)):
            before = self.get(name)
            after = thought(before)
            if after == before:
                return before
            try:
                self.store.write(KIND, name, after.facts, before.version, what=what, at=at, **logged)
            except Changed:
                if not left:
                    raise
            else:
                return replace(after, version=before.version + 1)
        raise AssertionError

    def move(self, name: str, to: Stage, by: str, note: str, at: float) -> Incident:
        """Take an incident one step further; see `moved` and `change`."""
        return self.change(
            name, lambda before: moved(before, to, by, note, at), what=f"incident {to.value}", at=at, by=by, note=note
        )

    def decide(self, name: str, by: str, at: float, **facts: Any) -> Incident:
        """Write what a person found: severity, people, aware, serious, notified, versions; see `change`."""
        if not by.strip():
            raise InputError("A decision about an incident needs the name of who takes it; give --by NAME.")
        countable(facts.get("people"))
        told = {key: value.value if isinstance(value, Enum) else value for key, value in facts.items()}
        return self.change(
            name, lambda before: replace(before, **facts), what="incident facts", at=at, by=by, found=told
        )
