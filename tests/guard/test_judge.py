"""Budgets hold in every window, for any order of calls, and a wait that is promised is enough."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.guard.judge import DAY, Account, Call, ClientState, Limit, Step, Verdict, accounts_of, judge
from safelight.guard.policy import Budget, GuardPolicy, Protocol, Upstream

START = 1_800_000_000.0
OPEN = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path())


def policy(**budget: int | None) -> GuardPolicy:
    return replace(OPEN, budget=Budget(**budget))


def call(at: float, records: int = 1) -> Call:
    return Call("ward-3", "wards", "diag", at, records, b"hash")


def played(rules: GuardPolicy, calls: list[Call]) -> tuple[list[tuple[float, int]], ClientState]:
    state, allowed = ClientState(), []
    for each in calls:
        decision, after = judge(rules, state, each)
        if decision.verdict is Verdict.ALLOWED:
            allowed.append((each.at, each.records))
        else:
            assert replace(after, seen=0.0) == replace(state, seen=0.0)  # a refused call costs nothing
        state = after
    return allowed, state


traffic = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 12)), min_size=1, max_size=80)


def timed(gaps: list[tuple[float, int]], start: float = START) -> list[Call]:
    calls, at = [], start
    for gap, records in gaps:
        at += gap
        calls.append(call(at, records))
    return calls


@given(traffic, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_no_window_holds_more_than_the_rate_allows(gaps, rate):
    allowed, _ = played(policy(per_minute=rate), timed(gaps))
    for first in range(len(allowed)):
        held = 0
        for at, records in allowed[first:]:
            held += records
            assert held <= rate * (1 + (at - allowed[first][0]) / 60) + 1e-3


@given(traffic, st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_it_lets_through_what_a_literal_bucket_does(gaps, rate):
    """A bucket of `rate` tokens that refills by rate / 60 a second, capped: the textbook form of the same rule."""
    allowed, _ = played(policy(per_minute=rate), timed(gaps))
    tokens, before, expected = float(rate), START, []
    for each in timed(gaps):
        tokens = min(float(rate), tokens + (each.at - before) * rate / 60)
        before = each.at
        if each.records <= tokens + 1e-6 * rate / 60:
            tokens -= each.records
            expected.append((each.at, each.records))
    assert allowed == expected


@given(traffic, st.integers(1, 30), st.integers(1, 60))
@settings(max_examples=150, deadline=None)
def test_days_and_lifetimes_are_never_exceeded(gaps, per_day, lifetime):
    long = [(gap * 3000, records) for gap, records in gaps]
    allowed, state = played(policy(per_day=per_day, lifetime=lifetime), timed(long))
    days: dict[int, int] = {}
    for at, records in allowed:
        days[int(at // DAY)] = days.get(int(at // DAY), 0) + records
    assert all(held <= per_day for held in days.values())
    assert state.total == sum(records for _, records in allowed) <= lifetime


@given(traffic, st.integers(1, 20), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_the_promised_wait_is_enough_and_no_second_too_long(gaps, rate, per_day):
    rules, state = policy(per_minute=rate, per_day=per_day), ClientState()
    for each in timed(gaps):
        decision, after = judge(rules, state, each)
        if decision.verdict is Verdict.LATER:
            assert decision.retry_after is not None
            again, _ = judge(rules, after, replace(each, at=each.at + decision.retry_after))
            early, _ = judge(rules, after, replace(each, at=each.at + decision.retry_after - 1.001))
            assert again.verdict is Verdict.ALLOWED
            assert early.verdict is Verdict.LATER
        state = after


@given(traffic, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_setting_the_clock_back_gives_nothing(gaps, rate):
    calls = timed(gaps)
    allowed, state = played(policy(per_minute=rate, per_day=rate), calls)
    decision, after = judge(policy(per_minute=rate), state, call(START - 3 * DAY, rate))
    if allowed and allowed[-1][0] == state.seen:
        assert decision.verdict is Verdict.LATER
    assert after.seen == state.seen


def test_a_batch_costs_its_records_and_one_that_never_fits_is_told_so():
    rules = policy(per_minute=10, per_day=25)
    decision, state = judge(rules, ClientState(), call(START, 10))
    assert decision.verdict is Verdict.ALLOWED
    assert (state.today, state.total) == (10, 10)
    decision, state = judge(rules, state, call(START, 1))
    assert (decision.verdict, decision.limit, decision.retry_after) == (Verdict.LATER, Limit.RATE, 6)
    decision, _ = judge(rules, state, call(START + 999, 11))
    assert (decision.verdict, decision.limit, decision.retry_after) == (Verdict.TOO_LARGE, Limit.RATE, None)
    decision, _ = judge(policy(per_day=5), ClientState(), call(START, 6))
    assert (decision.verdict, decision.limit) == (Verdict.TOO_LARGE, Limit.DAY)


def test_days_end_at_midnight_and_lifetimes_do_not():
    noon = (START // DAY) * DAY + DAY / 2
    rules = policy(per_day=2, lifetime=3)
    _, state = judge(rules, ClientState(), call(noon, 2))
    decision, state = judge(rules, state, call(noon, 1))
    assert (decision.limit, decision.retry_after) == (Limit.DAY, 43200)
    decision, state = judge(rules, state, call(noon + DAY, 1))
    assert decision.verdict is Verdict.ALLOWED
    decision, _ = judge(rules, state, call(noon + 9 * DAY, 1))
    assert (decision.limit, decision.retry_after) == (Limit.LIFETIME, 86400)


def test_quarantine_ends_by_itself_and_goes_before_budgets():
    held = ClientState(until=START + 30, step=Step.QUARANTINE)
    decision, _ = judge(policy(per_minute=1), held, call(START, 5))
    assert (decision.verdict, decision.retry_after) == (Verdict.QUARANTINED, 30)
    decision, _ = judge(policy(per_minute=1), held, call(START + 30))
    assert decision.verdict is Verdict.ALLOWED


def test_without_limits_everything_passes_and_is_counted():
    decision, state = judge(OPEN, ClientState(), call(START, 10**6))
    assert decision.verdict is Verdict.ALLOWED
    assert state.total == 10**6


# Several accounts ----------------------------------------------------------------------------------------------------

CLIENTS = ("ward-3", "lab", "desk")
COHORT = {"ward-3": "wards", "desk": "wards", "lab": ""}


class Bucket:
    """One budget, kept in the most literal way: tokens that drip, a list of what was taken."""

    def __init__(self, budget: Budget) -> None:
        self.budget, self.tokens, self.before = budget, float(budget.per_minute or 0), START
        self.taken: list[tuple[float, int]] = []

    def holds(self, at: float, n: int) -> bool:
        rate = self.budget.per_minute
        if rate:
            self.tokens = min(float(rate), self.tokens + (at - self.before) * rate / 60)
            self.before = at
        today = sum(records for when, records in self.taken if when // DAY == at // DAY)
        return (
            (not rate or n <= self.tokens + 1e-6 * rate / 60)
            and (not self.budget.per_day or today + n <= self.budget.per_day)
            and (not self.budget.lifetime or sum(records for _, records in self.taken) + n <= self.budget.lifetime)
        )

    def take(self, at: float, n: int) -> None:
        self.tokens -= n
        self.taken.append((at, n))


budgets = st.builds(
    Budget,
    st.none() | st.integers(1, 20),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 80),
)
shared_traffic = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 12), st.sampled_from(CLIENTS), st.sampled_from(["diag", "triage"])),
    min_size=1,
    max_size=60,
)


def told_apart(rules: GuardPolicy, client: str, model: str) -> list[tuple[object, Budget]]:
    own = rules.budgets.get(client, rules.budget)
    found: list[tuple[object, Budget]] = [(client, own)]
    if COHORT[client] == "wards":
        found.append((("wards",), rules.cohorts["wards"]))
    if model == "diag":
        found.append(((client, "diag"), rules.models["diag"]))
    return found


@given(shared_traffic, budgets, budgets, budgets, budgets, st.sampled_from([1.0, 900.0]))
@settings(max_examples=200, deadline=None)
def test_accounts_together_let_through_what_literal_buckets_do_and_a_refusal_costs_none(
    traffic, usual, own, shared, diag, slower
):
    """Three clients, one with a budget of its own, two in a cohort; a budget for one of two models."""
    rules = replace(OPEN, budget=usual, budgets={"lab": own}, cohorts={"wards": shared}, models={"diag": diag})
    states: dict[str, ClientState] = {name: ClientState() for name in CLIENTS}
    accounts: dict[str, Account] = {}
    buckets: dict[object, Bucket] = {}
    at = START
    for gap, records, client, model in traffic:
        at += gap * slower
        asked = Call(client, COHORT[client], model, at, records, b"hash")
        others = {name: accounts[name] for name in accounts_of(rules, asked) if name in accounts}
        before = replace(states[client], others=others)
        decision, after = judge(rules, before, asked)
        owners = told_apart(rules, client, model)
        mine = [buckets.setdefault(owner, Bucket(budget)) for owner, budget in owners]
        held = [bucket.holds(at, records) for bucket in mine]
        fits = all(held)
        assert (decision.verdict is Verdict.ALLOWED) == fits
        if fits:
            for bucket in mine:
                bucket.take(at, records)
            assert set(after.others) == set(accounts_of(rules, asked))
            accounts |= after.others
        else:
            assert replace(after, seen=0.0) == replace(before, seen=0.0)
        if decision.verdict is Verdict.LATER and decision.limit is not Limit.LIFETIME:
            later = replace(asked, at=at + decision.retry_after)
            again, _ = judge(rules, after, later)
            assert again.verdict is Verdict.ALLOWED or again.limit is Limit.LIFETIME
        states[client] = replace(after, others={})


def test_the_largest_wait_of_all_accounts_is_told_and_whose_it_was():
    rules = replace(
        policy(per_minute=60), cohorts={"wards": Budget(per_minute=10)}, models={"diag": Budget(per_minute=20)}
    )
    decision, state = judge(rules, ClientState(), call(START, 10))
    assert decision.verdict is Verdict.ALLOWED
    decision, state = judge(rules, state, call(START, 2))
    assert (decision.limit, decision.retry_after, decision.whose) == (Limit.RATE, 12, "cohort")
    decision, _ = judge(rules, state, call(START, 15))
    assert (decision.verdict, decision.whose) == (Verdict.TOO_LARGE, "cohort")
    other = Call("desk", "wards", "triage", START, 1, b"")
    shared = {name: each for name, each in state.others.items() if name in accounts_of(rules, other)}
    decision, _ = judge(rules, ClientState(others=shared), other)
    assert (decision.verdict, decision.whose) == (Verdict.LATER, "cohort")  # what one spent, the other lacks


@given(shared_traffic)
@settings(max_examples=60, deadline=None)
def test_a_clock_that_is_set_back_frees_no_account(traffic):
    rules = replace(OPEN, cohorts={"wards": Budget(per_day=5)})
    spent, accounts = 0, {}
    for number, (gap, records, client, _) in enumerate(traffic):
        if COHORT[client] != "wards":
            continue
        at = START + gap - (number % 3) * DAY  # of clients that never asked before, so that nothing else holds them
        asked = Call(client, "wards", "diag", at, records, b"")
        decision, after = judge(rules, ClientState(others=accounts), asked)
        if decision.verdict is Verdict.ALLOWED:
            accounts, spent = after.others, spent + records
    assert spent <= 15  # three days were seen, each at most once
    assert all(account.day <= (START + 40) // DAY for account in accounts.values())
