"""May this client ask this much now? A pure function of the policy, what is known of the client, and the call."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from safelight.guard.policy import GuardPolicy

DAY = 86400.0  # seconds


class Step(IntEnum):
    """What is done about a client, from the mildest; each holds until its time is over, and can be taken back."""

    NONE = 0
    LOG = 1
    COARSEN = 2
    SLOW = 3
    CHALLENGE = 4
    QUARANTINE = 5
    REFUSE = 6


class Verdict(Enum):
    """What becomes of a call."""

    ALLOWED = "allowed"
    LATER = "later"
    TOO_LARGE = "too large"
    QUARANTINED = "quarantined"


class Limit(Enum):
    """Which limit stood against a call; for the log, never for the client."""

    NONE = ""
    RATE = "per_minute"
    DAY = "per_day"
    LIFETIME = "lifetime"
    QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Call:
    """One question of a client.

    Attributes:
        client: its id.
        cohort: its group, or "".
        model: that it asks.
        at: seconds since 1970, UTC.
        records: that it asks about (>= 1).
        body: keyed hash of what it sent.
    """

    client: str
    cohort: str
    model: str
    at: float
    records: int
    body: bytes


@dataclass(frozen=True)
class ClientState:
    """What is kept of a client between calls.

    Attributes:
        arrival: when its rate is wholly free again, in seconds since 1970 (the theoretical arrival time of GCRA).
        day: number of the UTC day that `today` belongs to.
        today: records answered on that day.
        total: records answered ever.
        until: its step holds before this time.
        seen: the latest time of its calls; a clock that is set back does not turn this back.
        step: what is done about it.
    """

    arrival: float = 0.0
    day: int = 0
    today: int = 0
    total: int = 0
    until: float = 0.0
    seen: float = 0.0
    step: Step = Step.NONE

    def stands(self, now: float) -> Step:
        """Return the step that holds now."""
        return self.step if now < self.until else Step.NONE


@dataclass(frozen=True)
class Decision:
    """The answer to a call.

    Attributes:
        verdict: what becomes of it.
        limit: that stood against it.
        retry_after: whole seconds until the same call could pass, or None where waiting does not help.
        step: that holds for the client; from COARSEN on its answers are coarser, from SLOW on later.
    """

    verdict: Verdict
    limit: Limit = Limit.NONE
    retry_after: int | None = None
    step: Step = Step.NONE


def judge(policy: GuardPolicy, state: ClientState, call: Call) -> tuple[Decision, ClientState]:
    """Judge one call and return what is known of the client afterwards. A refused call costs nothing.

    The rate is the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling) in records: with m records a
    minute, any window of w seconds holds at most m (1 + w / 60) of them. A day starts at midnight UTC and holds at most
    `per_day`.
    """
    now = max(call.at, state.seen)
    state = replace(state, seen=now)
    step = state.stands(now)
    if step >= Step.QUARANTINE:
        return Decision(Verdict.QUARANTINED, Limit.QUARANTINE, _seconds(state.until - now), step), state
    budget, n = policy.budget, call.records
    day = int(now // DAY)
    today = state.today if state.day == day else 0
    smallest = min((limit for limit in (budget.per_minute, budget.per_day, budget.lifetime) if limit), default=n)
    if n > smallest:
        return Decision(Verdict.TOO_LARGE, _first(policy, n)), state
    waits: list[tuple[float, Limit]] = []
    arrival = state.arrival
    if budget.per_minute is not None:
        arrival = max(arrival, now) + n * 60.0 / budget.per_minute
        waits.append((arrival - 60.0 - now, Limit.RATE))
    if budget.per_day is not None and today + n > budget.per_day:
        waits.append(((day + 1) * DAY - now, Limit.DAY))
    if budget.lifetime is not None and state.total + n > budget.lifetime:
        waits.append((DAY, Limit.LIFETIME))  # waiting frees nothing; the owner may raise it by then
    wait, limit = max(waits, key=lambda each: each[0], default=(0.0, Limit.NONE))
    if wait > 1e-6:  # far below a record's share of a minute; far above the rounding of seconds since 1970
        return Decision(Verdict.LATER, limit, _seconds(wait)), state
    decision = Decision(Verdict.ALLOWED, step=step)
    return decision, replace(state, arrival=arrival, day=day, today=today + n, total=state.total + n)


def _first(policy: GuardPolicy, n: int) -> Limit:
    budget = policy.budget
    limits = ((budget.per_minute, Limit.RATE), (budget.per_day, Limit.DAY), (budget.lifetime, Limit.LIFETIME))
    return next(name for limit, name in limits if limit is not None and n > limit)


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait - 1e-6))
