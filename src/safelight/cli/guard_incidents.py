"""Incidents of the guard: list them, look at one, take it further."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from safelight.cli.guard import POLICY, Flag, Text
from safelight.errors import InputError

Several = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]


def incidents(*, all: Flag = False, policy: Path = POLICY) -> int:
    """List incidents and their clocks. Exit codes: 0 nothing is late, 1 a term of the law is over.

    Args:
        all: list closed ones, too.
        policy: the guard's settings.
    """
    from safelight.cli.guard import opened
    from safelight.guard.clocks import clocks
    from safelight.guard.incidents import Incidents

    now, late = time.time(), False
    print(f"{'incident':<10}{'stage':<12}{'severity':<10}{'about':<28}clocks")
    for incident in Incidents(opened(policy)).all():
        running = [clock for clock in clocks(incident) if incident.open and clock.told is None]
        late = late or any(clock.left(now) < 0 for clock in running)
        if incident.open or all:
            words = "; ".join(f"{clock.law} {clock.words(now)}{'' if clock.sure else ' ?'}" for clock in running)
            about = incident.client or incident.about
            print(
                f"{incident.name:<10}{incident.stage.value:<12}{incident.severity.value:<10}{about:<28}{words}".rstrip()
            )
    return 1 if late else 0


def incident(
    name: str | None = None,
    /,
    *,
    open: Flag = False,
    client: Several = (),
    model: Text = "",
    to: str | None = None,
    by: Text = "",
    note: Text = "",
    severity: str | None = None,
    people: int | None = None,
    aware: str | None = None,
    serious: str | None = None,
    notified: str | None = None,
    model_version: Several = (),
    draft: str | None = None,
    policy: Path = POLICY,
) -> int:
    """Look at an incident, take it further, or open one that no alarm did. Whoever changes it puts a name to it.

    To open one give --open, --client, --by and --note. What is known of the clients is frozen as evidence, alerts are
    sent, and nothing is done about the clients.

    Args:
        name: such as I0001; none with --open.
        open: open a new one.
        client: with --open: the id of whom it is about; may be given again.
        model: with --open: that was asked; the one in guard.toml when left out.
        to: the stage that it comes to: triaged, contained, eradicated, recovered, closed.
        by: your name, for the log; needed for every change.
        note: why; it goes into the log, which nobody can edit, so it should name no persons.
        severity: low, medium, high or critical; medium for a new one when left out.
        people: estimate of how many people it concerns, 0 or more.
        aware: when somebody was sure enough, from which clocks count: "now", or a time such as 2027-01-15T09:30, UTC.
        serious: no, yes, widespread, "critical infrastructure" or death (AI Act, Art. 3(49) and 73).
        notified: the law whose authority was told now: gdpr33 or aiact73.
        model_version: of the model that it is about; may be given again. A new one takes the version that serves.
        draft: gdpr33 prints a draft of the notification to the data protection authority, and changes nothing.
        policy: the guard's settings.
    """
    from safelight.cli.guard import opened
    from safelight.guard.incidents import Incidents, stage_of
    from safelight.guard.policy import read_policy
    from safelight.guard.responses.closing import step
    from safelight.guard.responses.opening import open_by_hand

    now, store = time.time(), opened(policy)
    known = Incidents(store)
    facts = _facts(severity, people, aware, serious, now)
    if open:
        if name is not None or to is not None or notified is not None or draft is not None:
            raise InputError(
                "--open begins a new incident; NAME, --to, --notified and --draft are for the next command."
            )
        rules, versions = read_policy(policy), tuple(dict.fromkeys(model_version))
        begun = open_by_hand(rules, store, client, by, note, now, _say, model=model, versions=versions, **facts)
        print("\n".join(_lines(begun, now)))
        return 0
    if name is None or client or model:
        raise InputError("Give the NAME of an incident, such as I0001; --client and --model go with --open.")
    found = known.get(name)
    if notified is not None:
        facts["notified"] = {**found.notified, _law(notified): round(now, 3)}
    if model_version:
        facts["versions"] = tuple(dict.fromkeys([*found.versions, *model_version]))
    if draft is not None and draft != "gdpr33":
        raise InputError(f"--draft is {draft!r}; there is gdpr33.")
    stage = None if to is None else stage_of(to)
    if facts:
        found = known.decide(name, by, now, **facts)
    if stage is not None:
        found = step(read_policy(policy), store, name, stage, by, note, now, _say)
    if draft is not None:
        from safelight.guard.responses.gdpr33 import draft as written

        print(written(found, now), end="")
        return 0
    print("\n".join(_lines(found, now)))
    return 0


def _lines(incident: Any, now: float) -> list[str]:
    from safelight.guard.clocks import clocks
    from safelight.guard.incidents import NEXT

    opener = f"by playbook {incident.playbook}" if incident.playbook else "opened by hand"
    rows = ", ".join(map(str, incident.rows[:12])) + (" ..." if len(incident.rows) > 12 else "")
    people = "not estimated" if incident.people is None else str(incident.people)
    ways = ", ".join(stage.value for stage in NEXT[incident.stage]) or "nothing"
    lines = [
        f"{incident.name}: {incident.stage.value}, {incident.severity.value}, {incident.about}, {opener}",
        f"opened      {_when(incident.opened)}",
        f"model       {', '.join(incident.models)} {' '.join(incident.versions)}".rstrip(),
        f"alarms      {incident.alarms}"
        + (f": {', '.join(f'{name} {top:.2f}' for name, top in incident.signals.items())}" if incident.signals else ""),
        f"people      {people}; serious: {incident.serious.value}",
        f"evidence    log {incident.head}" + (f", alarms in rows {rows}" if rows else ""),
    ]
    for clock in clocks(incident):
        unsure = "" if clock.sure else " (nobody has decided yet: the careful reading)"
        lines.append(f"clock       {clock.title}: due {_when(clock.due)}, {clock.words(now)}{unsure}")
    lines += [f"done        {_when(each['at'])} {each['what']} {each['client']}".rstrip() for each in incident.measures]
    lines += [
        f"step        {_when(each['at'])} {each['to']} by {each['by']} {each['note']}".rstrip()
        for each in incident.steps
    ]
    return [*lines, f"next        {ways}"]


def _facts(
    severity: str | None, people: int | None, aware: str | None, serious: str | None, now: float
) -> dict[str, Any]:
    from safelight.guard.incidents import Serious, Severity

    facts: dict[str, Any] = {}
    if severity is not None:
        facts["severity"] = _word("--severity", Severity, severity)
    if people is not None:
        facts["people"] = people
    if serious is not None:
        facts["serious"] = _word("--serious", Serious, serious)
    if aware is not None:
        facts["aware"] = round(now if aware == "now" else _time(aware, now), 3)
    return facts


def _word(flag: str, kind: Any, word: str) -> Any:
    from safelight.errors import did_you_mean

    words = [each.value for each in kind]
    if word not in words:
        raise InputError(f"{flag} is {word!r}; use one of {', '.join(words)}.{did_you_mean(word, words)}")
    return kind(word)


def _law(word: str) -> str:
    from safelight.guard.clocks import LAWS

    if word not in LAWS:
        raise InputError(f"--notified is {word!r}; use one of {', '.join(LAWS)}.")
    return word


def _time(text: str, now: float) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f'--aware is {text!r}; give "now" or a time such as 2027-01-15T09:30, UTC.') from None
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if seconds > now:
        raise InputError(f"--aware is {text!r}, which is still to come; give a time that was.")
    return seconds


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
