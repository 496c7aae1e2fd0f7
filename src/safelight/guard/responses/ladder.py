"""The ladder: how far a client's repeated alarms have brought it. Pure; the clock is the alarm's.

A playbook's steps are its rungs. The first alarm of a client takes the first rung, each later one the next; beyond the
last rung, the last one again for twice as long, up to a week. An alarm of a call that came before the last step was
taken climbs nothing: that call could not know of it. After a quiet time, or after a release, the climb starts anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from safelight.guard.judge import ClientState, Step
from safelight.guard.playbooks import Action

WEEK = 7 * 1440.0  # minutes
FOREVER = 1e10  # seconds since 1970: until somebody releases the client


@dataclass(frozen=True)
class Climb:
    """Where a client is on the ladder.

    Attributes:
        rung: number of the last rung taken, from 0; beyond the last of the playbook it counts the doublings.
        taken: when it was taken.
        until: when it ends.
    """

    rung: int
    taken: float
    until: float


@dataclass(frozen=True)
class Rung:
    """A step to be taken about one client.

    Attributes:
        step: to take.
        until: when it ends, in seconds since 1970.
        climb: what to remember of it.
    """

    step: Step
    until: float
    climb: Climb


@dataclass(frozen=True)
class Case:
    """What is remembered of a client's, or a cohort's, alarms until it has been quiet for long enough.

    Attributes:
        at: of the latest alarm.
        playbook: that was followed; another one starts anew.
        climbs: of each client that steps were taken about.
        incident: name of the one that its alarms join, or "".
        alerted: when an alert was last given.
        done: deeds that are done once a case.
        asked: names of approvals, by what they are for.
    """

    at: float = 0.0
    playbook: str = ""
    climbs: Mapping[str, Climb] = field(default_factory=dict)
    incident: str = ""
    alerted: float = 0.0
    done: tuple[str, ...] = ()
    asked: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """The document's facts."""
        return asdict(self)


def case_of(facts: Mapping[str, Any] | None, playbook: str, now: float, forget: float) -> Case:
    """Read a case, or begin one: there was none, it was quiet for `forget` seconds, or another playbook fits now."""
    if facts is None or facts["playbook"] != playbook or now - facts["at"] > forget:
        return Case(playbook=playbook)
    climbs = {client: Climb(**climb) for client, climb in facts["climbs"].items()}
    return Case(**{**facts, "climbs": climbs, "done": tuple(facts["done"])})


def next_rung(
    rungs: tuple[Action, ...], climb: Climb | None, state: ClientState, arrived: float, now: float, minutes: float
) -> Rung | None:
    """Return the step that an alarm leads to, or None where nothing changes.

    Args:
        rungs: of the playbook, in order.
        climb: how far the client is, or None.
        state: what is known of the client.
        arrived: when the call came that rang.
        now: when the step is taken.
        minutes: that a step holds whose length the playbook leaves out.
    """
    if not rungs:
        return None
    released = climb is not None and now < climb.until and state.stands(now) is Step.NONE
    if climb is not None and not released and arrived <= climb.taken:
        return None
    number = 0 if climb is None or released else climb.rung + 1
    action = rungs[min(number, len(rungs) - 1)]
    step = Step(action.what.value)  # a rung is a step
    doubled = 2.0 ** min(max(0, number - len(rungs) + 1), 20)
    length = action.minutes or (None if step is Step.REFUSE else minutes)
    until = FOREVER if length is None else now + 60 * max(length, min(length * doubled, WEEK))
    taken = Climb(number, now, until)
    stands = state.stands(now)
    if stands > step or (stands == step and state.until >= until):
        return Rung(stands, state.until, taken)  # what holds already is not made milder or shorter
    return Rung(step, until, taken)
