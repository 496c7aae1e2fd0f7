"""May this client ask this much now? A pure function of the policy, what is known of the client, and the call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum

from safelight.guard.policy import Budget, GuardPolicy

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
    CHALLENGED = "challenged"


class Limit(Enum):
    """Which limit stood against a call; for the log, never for the client."""

    NONE = ""
    RATE = "per_minute"
    DAY = "per_day"
    LIFETIME = "lifetime"
    QUARANTINE = "quarantine"
    CHALLENGE = "challenge"


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
        version: of the model that is asked, or "" where the policy lists none.
        proven: whether the client did the work that a challenge asks for; see `safelight.guard.challenge`.
    """

    client: str
    cohort: str
    model: str
    at: float
    records: int
    body: bytes
    version: str = ""
    proven: bool = False


@dataclass(frozen=True)
class Account:
    """What one budget has been spent of: a client's own, one shared by a cohort, or a client's for one model.

    Attributes:
        arrival: when its rate is wholly free again, in seconds since 1970 (the theoretical arrival time of GCRA).
        day: number of the UTC day that `today` belongs to; it never goes back.
        today: records answered on that day.
        total: records answered ever.
    """

    arrival: float = 0.0
    day: int = 0
    today: int = 0
    total: int = 0


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
        others: further accounts that its call is charged to, by the names that `accounts_of` gives.
    """

    arrival: float = 0.0
    day: int = 0
    today: int = 0
    total: int = 0
    until: float = 0.0
    seen: float = 0.0
    step: Step = Step.NONE
    others: Mapping[str, Account] = field(default_factory=dict)

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
        whose: "" where the limit is of the client's own budget, else "cohort" or "model"; for the log.
        left: smallest share, in [0, 1], that is left of a day's or a lifetime's budget after this call.
    """

    verdict: Verdict
    limit: Limit = Limit.NONE
    retry_after: int | None = None
    step: Step = Step.NONE
    whose: str = ""
    left: float = 1.0


def accounts_of(policy: GuardPolicy, call: Call) -> dict[str, Budget]:
    """Return the budgets beside the client's own that a call is charged to, by the names of their accounts.

    A cohort's budget is one account for all of its clients. A model's is one account for each client.
    """
    found = {}
    if call.cohort in policy.cohorts:
        found[json.dumps(["cohort", call.cohort])] = policy.cohorts[call.cohort]
    if call.model in policy.models:
        found[json.dumps(["model", call.model, call.client])] = policy.models[call.model]
    return found


def judge(policy: GuardPolicy, state: ClientState, call: Call) -> tuple[Decision, ClientState]:
    """Judge one call and return what is known of the client afterwards. A refused call costs nothing, anywhere.

    A call must fit into each of its accounts, and is charged to all of them or to none. The rate is the generic cell
    rate algorithm (ITU-T I.371, annex A, virtual scheduling) in records: with m records a minute, any window of w
    seconds holds at most m (1 + w / 60) of them. A day starts at midnight UTC and holds at most `per_day`.

    Args:
        policy: in force.
        state: of the client, with the accounts among `accounts_of` that anything was ever charged to.
        call: to judge.
    """
    now = max(call.at, state.seen)
    state = replace(state, seen=now)
    step = state.stands(now)
    if step >= Step.QUARANTINE:
        return Decision(Verdict.QUARANTINED, Limit.QUARANTINE, _seconds(state.until - now), step), state
    if step is Step.CHALLENGE and not call.proven:
        return Decision(Verdict.CHALLENGED, Limit.CHALLENGE, step=step), state
    own = Account(state.arrival, state.day, state.today, state.total)
    charged = {"": (policy.budget_of(call.client), own)}
    for name, budget in accounts_of(policy, call).items():
        charged[name] = (budget, state.others.get(name, Account()))
    for name, (budget, _) in charged.items():
        limit = _first(budget, call.records)
        if limit is not Limit.NONE:
            return Decision(Verdict.TOO_LARGE, limit, whose=_kind(name)), state
    after: dict[str, Account] = {}
    waits = [(0.0, Limit.NONE, "")]
    for name, (budget, account) in charged.items():
        after[name], wait, limit = _charged(budget, account, now, call.records)
        waits.append((wait, limit, name))
    wait, limit, name = max(waits, key=lambda each: each[0])
    if wait > 1e-6:  # far below a record's share of a minute; far above the rounding of seconds since 1970
        return Decision(Verdict.LATER, limit, _seconds(wait), whose=_kind(name)), state
    left = min(_left(budget, after[name]) for name, (budget, _) in charged.items())
    own = after.pop("")
    spent = replace(state, arrival=own.arrival, day=own.day, today=own.today, total=own.total, others=after)
    return Decision(Verdict.ALLOWED, step=step, left=left), spent


def _charged(budget: Budget, account: Account, now: float, n: int) -> tuple[Account, float, Limit]:
    """Return an account with n records more, the seconds until it holds them, and the limit that asks for the wait."""
    day = max(account.day, int(now // DAY))
    today = account.today if account.day == day else 0
    waits: list[tuple[float, Limit]] = []
    arrival = account.arrival
    if budget.per_minute is not None:
        arrival = max(arrival, now) + n * 60.0 / budget.per_minute
        waits.append((arrival - 60.0 - now, Limit.RATE))
    if budget.per_day is not None and today + n > budget.per_day:
        waits.append(((day + 1) * DAY - now, Limit.DAY))
    if budget.lifetime is not None and account.total + n > budget.lifetime:
        waits.append((DAY, Limit.LIFETIME))  # waiting frees nothing; the owner may raise it by then
    wait, limit = max(waits, key=lambda each: each[0], default=(0.0, Limit.NONE))
    return Account(arrival, day, today + n, account.total + n), wait, limit


def _left(budget: Budget, account: Account) -> float:
    day = 1.0 if budget.per_day is None else 1 - account.today / budget.per_day
    return day if budget.lifetime is None else min(day, 1 - account.total / budget.lifetime)


def _kind(account: str) -> str:
    return str(json.loads(account)[0]) if account else ""


def _first(budget: Budget, n: int) -> Limit:
    """Return the limit of a budget that n records at once can never meet, or Limit.NONE."""
    limits = ((budget.per_minute, Limit.RATE), (budget.per_day, Limit.DAY), (budget.lifetime, Limit.LIFETIME))
    return next((name for limit, name in limits if limit is not None and n > limit), Limit.NONE)


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait - 1e-6))
