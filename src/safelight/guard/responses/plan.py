"""What an alarm leads to, thought through before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from safelight.guard.alarm import Alarm
from safelight.guard.judge import ClientState, Step
from safelight.guard.playbooks import Action, Deed, Playbook
from safelight.guard.policy import Actions
from safelight.guard.responses.approvals import needs_approval
from safelight.guard.responses.ladder import Case, Rung, next_rung

ONCE = (Deed.ROLLBACK, Deed.FREEZE, Deed.AUDIT)
PAUSE = 600.0  # seconds between alerts about alarms that change nothing


@dataclass(frozen=True)
class Known:
    """What a plan is made from, besides the alarm.

    Attributes:
        case: what is remembered of the alarms before.
        states: of the clients that it points at.
        hindered: clients that a step from "coarsen" on holds for.
        active: clients that asked within a day.
        now: seconds since 1970.
    """

    case: Case
    states: Mapping[str, ClientState]
    hindered: frozenset[str]
    active: int
    now: float


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        case: to be remembered.
        rungs: steps to take, by client.
        waiting: steps that wait for an approval, by client.
        hit: clients that those would hit, with those that are hit already.
        deeds: to be done now, in order, without those that wait.
        asked: whether the rollback waits for an approval too.
    """

    case: Case
    rungs: Mapping[str, Rung] = field(default_factory=dict)
    waiting: Mapping[str, Rung] = field(default_factory=dict)
    hit: int = 0
    deeds: tuple[Action, ...] = ()
    asked: bool = False


def targets(alarm: Alarm) -> tuple[str, ...]:
    """Return the clients that an alarm points at."""
    return (alarm.client,) if alarm.client else alarm.suspects


def plan(playbook: Playbook, alarm: Alarm, actions: Actions, known: Known) -> Plan:
    """Return what an alarm leads to.

    A step from "coarsen" on that would hit more than `approval_above` of the clients waits for a person, and so does a
    rollback, which hits all. Rollback, freeze and audit are done once a case; an alert about an alarm that changes
    nothing is given once in ten minutes.
    """
    case = known.case
    found: dict[str, Rung] = {}
    for client in targets(alarm):
        climb, state = case.climbs.get(client), known.states[client]
        rung = next_rung(playbook.rungs, climb, state, alarm.at, known.now, actions.minutes)
        if rung is not None:
            found[client] = rung
    harsh = [client for client, rung in found.items() if rung.step >= Step.COARSEN]
    hit = needs_approval(harsh, known.hindered, known.active, actions.approval_above)
    waiting = {client: found[client] for client in harsh} if hit else {}
    rungs = {client: rung for client, rung in found.items() if client not in waiting}
    deeds, done, asked = [], list(case.done), False
    for action in playbook.actions:
        if action.what in ONCE:
            if action.what.value in done:
                continue
            done.append(action.what.value)
            if action.what is Deed.ROLLBACK and actions.approval_above < 1:
                asked = True
                continue
        elif action.what is Deed.ALERT and not (rungs or waiting or known.now - case.alerted >= PAUSE):
            continue
        if isinstance(action.what, Deed):
            deeds.append(action)
    alerted = known.now if any(action.what is Deed.ALERT for action in deeds) else case.alerted
    climbs = {**case.climbs, **{client: rung.climb for client, rung in rungs.items()}}
    after = replace(case, at=alarm.at, climbs=climbs, done=tuple(done), alerted=alerted)
    return Plan(after, rungs, waiting, hit, tuple(deeds), asked)
