"""May this client ask this much now? A pure function of the policy, what is known of the client, and the call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum

from safelight.guard.policy import Budget, Epsilons, GuardPolicy

DAY = 86400.0  # seconds
FOR_GOOD = 4e9  # seconds since 1970, in the year 2096: steps that end later hold until somebody releases the client


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
        noise: what [outputs.noise] has each of its records cost, in parts of an epsilon; 0 without noise.
    """

    client: str
    cohort: str
    model: str
    at: float
    records: int
    body: bytes
    version: str = ""
    proven: bool = False
    noise: int = 0


@dataclass(frozen=True)
class Account:
    """What one budget has been spent of: a client's own, one shared by a cohort, a client's for one model or in noise.

    What a client spends in noise is counted in parts of an epsilon, all else in records.

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

    A cohort's budget is one account for all of its clients. A model's is one account for each client, and so is that
    of the epsilons of noise, which is kept without a limit too.
    """
    found = {}
    if call.cohort in policy.cohorts:
        found[json.dumps(["cohort", call.cohort])] = policy.cohorts[call.cohort]
    if call.model in policy.models:
        found[json.dumps(["model", call.model, call.client])] = policy.models[call.model]
    if call.noise:
        noise = policy.outputs.noise
        found[epsilons_of(call.client)] = Epsilons(lifetime=None if noise is None else noise.limit, cost=call.noise)
    return found


def epsilons_of(client: str) -> str:
    """Return the name of the account of what a client spent in noise."""
    return json.dumps(["noise", client])


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
    step = state.stands(now)
    if step >= Step.QUARANTINE:
        seconds = whole_seconds(state.until - now)
        return Decision(Verdict.QUARANTINED, Limit.QUARANTINE, seconds, step), replace(state, seen=now)
    if step is Step.CHALLENGE and not call.proven:
        return Decision(Verdict.CHALLENGED, Limit.CHALLENGE, step=step), replace(state, seen=now)
    charged = {"": (policy.budget_of(call.client), Account(state.arrival, state.day, state.today, state.total))}
    for name, budget in accounts_of(policy, call).items():
        charged[name] = budget, state.others.get(name) or Account()
    for name, (budget, _) in charged.items():
        limit = _first(budget, call.records * budget.each)
        if limit is not Limit.NONE:
            return Decision(Verdict.TOO_LARGE, limit, whose=_kind(name)), replace(state, seen=now)
    after: dict[str, Account] = {}
    longest, against, whose, left = 0.0, Limit.NONE, "", 1.0
    for name, (budget, account) in charged.items():
        after[name], wait, limit = _charged(budget, account, now, call.records * budget.each)
        left = min(left, _left(budget, after[name]))
        if wait > longest:
            longest, against, whose = wait, limit, name
    if longest > 1e-6:  # far below a record's share of a minute; far above the rounding of seconds since 1970
        return Decision(Verdict.LATER, against, whole_seconds(longest), whose=_kind(whose)), replace(state, seen=now)
    own = after.pop("")
    spent = ClientState(own.arrival, own.day, own.today, own.total, state.until, now, state.step, after)
    return Decision(Verdict.ALLOWED, step=step, left=left), spent


def _charged(budget: Budget, account: Account, now: float, n: int) -> tuple[Account, float, Limit]:
    """Return an account with n records more, the seconds until it holds them, and the limit that asks for the wait."""
    day = max(account.day, int(now // DAY))
    today = account.today if account.day == day else 0
    arrival, longest, against = account.arrival, 0.0, Limit.NONE
    if budget.per_minute is not None:
        arrival = max(arrival, now) + n * 60.0 / budget.per_minute
        if arrival - 60.0 - now > longest:
            longest, against = arrival - 60.0 - now, Limit.RATE
    if budget.per_day is not None and today + n > budget.per_day and (day + 1) * DAY - now > longest:
        longest, against = (day + 1) * DAY - now, Limit.DAY
    if budget.lifetime is not None and account.total + n > budget.lifetime and longest < DAY:
        longest, against = DAY, Limit.LIFETIME  # waiting frees nothing; the owner may raise it by then
    return Account(arrival, day, today + n, account.total + n), longest, against


def _left(budget: Budget, account: Account) -> float:
    day = 1.0 if budget.per_day is None else 1 - account.today / budget.per_day
    return day if budget.lifetime is None else min(day, 1 - account.total / budget.lifetime)


def _kind(account: str) -> str:
    return str(json.loads(account)[0]) if account else ""


def _first(budget: Budget, n: int) -> Limit:
    """Return the limit of a budget that n records at once can never meet, or Limit.NONE."""
    if budget.per_minute is not None and n > budget.per_minute:
        return Limit.RATE
    if budget.per_day is not None and n > budget.per_day:
        return Limit.DAY
    return Limit.LIFETIME if budget.lifetime is not None and n > budget.lifetime else Limit.NONE


def whole_seconds(wait: float) -> int:
    """Return a wait in the whole seconds that a client is told (>= 1)."""
    return max(1, math.ceil(wait - 1e-6))
