"""Guards on several machines: real PostgreSQL and Valkey servers, killed, frozen and started again."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest
import redis

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.judge import Account, Call, ClientState, Limit, Step, Verdict, epsilons_of, judge
from safelight.guard.policy import Budget, GuardPolicy, Noise, Outputs, Protocol, Storing, Upstream, parse_policy
from safelight.guard.store import open_store
from safelight.guard.stores.ledger import Ledger
from safelight.guard.stores.postgres import PostgresStore
from safelight.guard.stores.shared import BATCH, SharedStore

SPEC = importlib.util.spec_from_file_location("databases", Path(__file__).parents[2] / "benchmarks" / "databases.py")
databases = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(databases)
START = 1_800_000_000.0
KEY = b"k" * 32
POLICY = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path(), budget=Budget(lifetime=10))


def call(at: float = START, records: int = 1, client: str = "ward-3", **more) -> Call:
    return Call(client, "wards", "diag", at, records, b"\x01" * 32, **more)


@pytest.fixture(scope="module")
def postgres():
    server = databases.Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module")
def valkey():
    server = databases.Valkey()
    yield server
    server.close()


@pytest.fixture
def url(postgres, request):
    name = "t" + os.urandom(4).hex()
    with psycopg.connect(postgres.url, autocommit=True) as database:
        database.execute(f"CREATE SCHEMA {name}")
    return f"{postgres.url}&options=-csearch_path%3D{name}"


@pytest.fixture
def opened(url, valkey):
    """Open stores on one database, PostgreSQL alone or with Redis before it."""
    made = []

    def make(fast: bool = False, key: bytes = KEY) -> PostgresStore:
        made.append(SharedStore.open(url, key, valkey.url) if fast else PostgresStore.open(url, key))
        return made[-1]

    yield make
    for store in made:
        store.close()


def until(true, seconds: float = 8.0) -> float:
    """Wait until something is so, and return the seconds that it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)
    return time.monotonic() - begun


def mended(store, at: float = START, client: str = "other") -> bool:
    with suppress(StoreFailed):
        return bool(store.decide(POLICY, call(at, client=client)))
    return False


def rows(store) -> list[dict]:
    """Return the rows of the log; those that say what was set aside for Redis are left out."""
    found = [json.loads(row.text) for row in reversed(store.tail(100_000))]
    return [row for row in found if row["what"] != "set aside"]


# What any database does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [False, True])
def test_what_is_spent_stays_spent_and_the_other_guard_knows(opened, fast):
    store, other = opened(fast), opened(fast)
    assert store.decide(POLICY, call(records=7)).verdict is Verdict.ALLOWED
    assert other.state("ward-3").total == 7
    assert [state.total for state in other.states(["nobody", "ward-3"]).values()] == [0, 7]
    assert other.decide(POLICY, call(records=4)).limit is Limit.LIFETIME
    assert other.decide(POLICY, call(records=11)).verdict is Verdict.TOO_LARGE
    allowed = other.decide(POLICY, call(records=3))
    assert (allowed.verdict, allowed.left) == (Verdict.ALLOWED, 0.0)
    assert store.decide(POLICY, call(START + 1)).limit is Limit.LIFETIME
    store.close()
    assert other.verify()[1] == ""
    assert [row["verdict"] for row in rows(other)].count("allowed") == 2
    assert opened(fast).decide(POLICY, call(START + 60)).limit is Limit.LIFETIME


def test_documents_are_written_by_one_at_a_time(opened):
    store, other = opened(), opened()
    assert store.read("alias", "champion") is None
    store.write("alias", "champion", {"version": "3"}, 0, what="promote", at=START, by="ann")
    with pytest.raises(Changed, match=r"'champion' was changed meanwhile \(version 1, not 0\)"):
        other.write("alias", "champion", {"version": "4"}, 0, what="promote", at=START)
    assert other.write("alias", "champion", {"version": "4"}, 1, what="promote", at=START).version == 2
    assert [document.facts for document in store.documents("alias")] == [{"version": "4"}]
    assert [(row["what"], row["version"], row.get("by")) for row in rows(store)] == [
        ("promote", 1, "ann"), ("promote", 2, None)]  # fmt: skip
    assert store.head() == other.verify()[0]
    assert store.note("more", START).rows == 3


def test_the_dashboards_questions_are_answered(opened):
    store = opened()
    store.decide(POLICY, call(START, client="a"))
    store.decide(POLICY, call(START + 99, client="b"))
    store.step("b", Step.SLOW, START + 200, START + 99, why="budget")
    assert store.census(START + 100, START + 50) == (1, frozenset({"b"}))
    assert set(store.clients()) == {"a", "b"}
    assert [json.loads(row.text)["what"] for row in store.tail(5, "b")] == ["slow", "call"]
    assert [row.number for row in store.tail(5)] == [3, 2, 1]
    assert [row.number for row in store.tail(1, before=3)] == [2]
    assert [row.number for row in store.tail(5, "b", before=3)] == [2]


@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("UPDATE safelight_log SET text = replace(text, 'ward-3', 'lab') WHERE number = 2", "row 2 was changed"),
        ("DELETE FROM safelight_log WHERE number = 3", "row 3 is missing"),
        ("DELETE FROM safelight_log WHERE number > 4", "the log ends at row 4, and row 6 was noted"),
    ],
)
def test_every_change_of_the_log_shows(opened, url, statement, trouble):
    store = opened()
    for number in range(6):
        store.decide(POLICY, call(START + number))
    noted, _ = store.verify()
    with psycopg.connect(url) as database:
        database.execute(statement)
    assert store.verify(noted)[1].startswith(trouble)


def test_another_key_is_refused_and_nothing_is_written_with_it(opened, url):
    opened().note("start", START)
    with pytest.raises(InputError, match=r"was written with another key; copy guard\.key from the first machine"):
        opened(key=b"j" * 32)
    with psycopg.connect(url) as database:
        database.execute("UPDATE safelight_about SET value = '9' WHERE name = 'version'")
    with pytest.raises(InputError, match=r"another version of Safelight \(tables 9, not 1\)"):
        opened()


def test_the_policy_names_the_database_and_the_key(url, valkey, tmp_path, monkeypatch):
    head = {"upstream": {"url": "http://127.0.0.1:1", "protocol": "oip"}}
    rules = parse_policy(head | {"store": {"url": url, "redis": valkey.url}}, tmp_path, "guard.toml")
    store = open_store(rules)
    assert isinstance(store, SharedStore)
    assert (tmp_path / "guard.key").is_file()
    store.close()
    monkeypatch.setenv("GUARD_LOG_KEY", "00" * 32)
    with pytest.raises(InputError, match="was written with another key"):
        open_store(replace(rules, store=Storing(url, key_env="GUARD_LOG_KEY")))
    monkeypatch.setenv("GUARD_LOG_KEY", "short")
    with pytest.raises(InputError, match="GUARD_LOG_KEY holds no key of 64 hexadecimal digits"):
        open_store(replace(rules, store=Storing(url, key_env="GUARD_LOG_KEY")))
    with pytest.raises(InputError, match="it must be redis://host:port/number, beside a url"):
        parse_policy(head | {"store": {"redis": valkey.url}}, tmp_path, "guard.toml")
    with pytest.raises(InputError, match="cannot be used as the guard's database"):
        PostgresStore.open("postgresql://postgres:pass-word@/nowhere?host=/nowhere", KEY)
    with pytest.raises(InputError, match="address of Redis"):
        SharedStore.open(url, KEY, "redis://:x")


# Redis judges as the pure function does ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_script_judges_as_the_pure_function(opened, seed):
    rng = np.random.default_rng(seed)

    def budget() -> Budget:
        return Budget(*(int(rng.integers(1, most)) if rng.random() < 0.7 else None for most in (40, 300, 900)))

    policy = replace(POLICY, budget=budget(), budgets={"c1": budget()}, cohorts={"a": budget()}, models={"m": budget()})
    policy = replace(policy, outputs=Outputs(noise=Noise(2.5, epsilon_lifetime=200.0)))
    store = opened(fast=True)
    clients: dict[str, ClientState] = {}
    others: dict[str, object] = {}
    at, found = START + 86000, []
    for _ in range(500):
        at += float(rng.choice([0.0, 0.01, 1.0, 30.0, 3000.0], p=[0.3, 0.3, 0.3, 0.09, 0.01]))
        client = f"c{rng.integers(3)}"
        asked = Call(client, str(rng.choice(["a", "b"])), str(rng.choice(["m", "n"])), at - float(rng.random() < 0.1),
                     int(rng.integers(1, 12)), b"", proven=bool(rng.random() < 0.5),
                     noise=int(rng.choice([0, 300, 2500])))  # fmt: skip
        if rng.random() < 0.03:
            step, ends = Step(int(rng.integers(7))), at + float(rng.integers(-5, 50))
            store.step(client, step, ends, at)
            clients[client] = replace(clients.get(client, ClientState()), step=step, until=ends)
        state = replace(clients.get(client, ClientState()), others=others)
        expected, after = judge(policy, state, asked)
        others |= after.others
        clients[client] = replace(after, others={})
        assert store.decide(policy, asked) == expected
        found.append(expected.verdict)
    assert len(set(found)) >= 4
    for client in clients:
        spent = others.get(epsilons_of(client), Account()).total
        assert spent <= store.account(epsilons_of(client)).total <= min(spent + BATCH * 2500, 200_000)  # set aside
    store.close()


SPENDER = """
import sys, time
from pathlib import Path
from safelight.guard.judge import Call
from safelight.guard.policy import Budget, GuardPolicy, Protocol, Storing, Upstream
from safelight.guard.stores.postgres import PostgresStore
from safelight.guard.stores.shared import SharedStore
url, redis, lifetime = sys.argv[1:]
store = SharedStore.open(url, b"k" * 32, redis) if redis else PostgresStore.open(url, b"k" * 32)
policy = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path(), budget=Budget(lifetime=int(lifetime)))
print("ready", flush=True)
sys.stdin.readline()
while True:
    decision = store.decide(policy, Call("ward-3", "", "diag", time.time(), 1, b""))
    print(decision.verdict.value, flush=True)
    if decision.retry_after:
        break
store.close()
"""


def spenders(count: int, url: str, redis_url: str, lifetime: int) -> list[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", SPENDER, url, redis_url, str(lifetime)]
    found = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for process in found:
        assert process.stdout.readline() == "ready\n"
    for process in found:
        process.stdin.write("go\n")
        process.stdin.flush()
    return found


@pytest.mark.parametrize(("fast", "lifetime"), [(False, 150), (True, 1550)])
def test_three_guards_at_once_spend_one_budget_exactly(opened, url, valkey, fast, lifetime):
    processes = spenders(3, url, valkey.url if fast else "", lifetime)
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert min(map(len, answers)) > 1
    assert sum(answer.count("allowed") for answer in answers) == lifetime
    store = opened(fast)
    assert store.state("ward-3").total == lifetime
    assert len(rows(store)) == lifetime + 3
    assert store.verify()[1] == ""


@pytest.mark.parametrize("fast", [False, True])
def test_a_guard_that_is_killed_gives_nothing_back_and_its_rows_are_there(opened, url, valkey, fast):
    (process,) = spenders(1, url, valkey.url if fast else "", 10**9)
    first = [process.stdout.readline() for _ in range(20)]
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    told = first.count("allowed\n") + process.stdout.read().count("allowed\n")
    process.wait()
    store = opened(fast)
    assert told >= 20
    assert told <= store.state("ward-3").total <= told + 1
    until(lambda: told <= len(rows(store)) <= told + 1)
    assert store.verify()[1] == ""


# Steps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [False, True])
def test_a_quarantine_holds_for_all_guards_at_once(opened, fast):
    stores = [opened(fast) for _ in range(3)]
    for store in stores:
        store.decide(POLICY, call())
    stores[0].quarantine("ward-3", START + 60, START)
    assert [store.decide(POLICY, call()).verdict for store in stores] == [Verdict.QUARANTINED] * 3
    stores[1].quarantine("ward-3", START, START)
    assert [store.decide(POLICY, call(START + 1)).verdict for store in stores] == [Verdict.ALLOWED] * 3


def test_a_step_that_only_postgresql_heard_of_holds_within_a_second(opened):
    store, operator = opened(fast=True), opened()
    store.decide(POLICY, call())
    operator.quarantine("ward-3", START + 60, START)
    operator.quarantine("never-asked", START + 60, START)
    assert until(lambda: store.decide(POLICY, call()).verdict is Verdict.QUARANTINED) < 1
    assert store.decide(POLICY, call(client="never-asked")).verdict is Verdict.QUARANTINED
    assert store.state("ward-3").stands(START) is Step.QUARANTINE


# Servers that go and come --------------------------------------------------------------------------------------------


def test_redis_goes_and_comes_back_empty(opened, valkey):
    policy = replace(POLICY, budget=Budget(per_minute=100_000, lifetime=1000))
    stores = [opened(fast=True), opened(fast=True)]
    before = sum(stores[n % 2].decide(policy, call()).verdict is Verdict.ALLOWED for n in range(250))
    assert before == 250
    stores[0].quarantine("held", START + 60, START)
    valkey.kill()
    for _ in range(3):
        with pytest.raises(StoreFailed, match="Redis, beside postgresql://"):
            stores[0].decide(policy, call())
    stores[1].quarantine("caught", START + 60, START)  # PostgreSQL has it, and Redis hears of it when it is back
    valkey.start()
    for store in stores:
        until(lambda store=store: mended(store))
        assert store.decide(policy, call(client="held")).verdict is Verdict.QUARANTINED
        assert store.decide(policy, call(client="caught")).verdict is Verdict.QUARANTINED
    # As much as can be of the rate counts as used, so nothing is let through at once.
    assert stores[0].decide(policy, call()).limit is Limit.RATE
    after = 0
    while stores[after % 2].decide(policy, call(START + 61)).verdict is Verdict.ALLOWED:
        after += 1
    assert 1000 - BATCH <= before + after <= 1000
    for store in stores:
        store.close()
    last = opened()
    assert last.verify()[1] == ""
    kept = rows(last)
    allowed = [row for row in kept if row.get("verdict") == "allowed" and row["client"] == "ward-3"]
    assert len(allowed) == before + after
    back = [row for row in kept if row["what"] == "store back"]
    assert all(row["fail"] == "closed" and row["calls"] == row["records"] for row in back)
    assert sum(row["calls"] for row in back) >= 3


@pytest.mark.parametrize("fast", [False, True])
def test_postgresql_goes_and_comes_back(opened, postgres, fast):
    store = opened(fast)
    policy = replace(POLICY, budget=Budget(lifetime=1000))
    before = sum(store.decide(policy, call()).verdict is Verdict.ALLOWED for n in range(50))
    postgres.kill()
    failed = 0
    begun = time.monotonic()
    try:
        while not failed:  # with Redis, until rows wait for two seconds
            assert time.monotonic() - begun < 5
            try:
                before += store.decide(policy, call()).verdict is Verdict.ALLOWED
                time.sleep(0.02)
            except StoreFailed:
                failed += 1
        with pytest.raises(StoreFailed, match=r"postgresql://.* cannot be read or written"):
            store.quarantine("ward-3", START + 60, START)
        begun = time.monotonic()
        for _ in range(100):
            with suppress(StoreFailed):
                store.decide(policy, call(client="new"))
                raise AssertionError("a client that PostgreSQL was not asked about was let through")
        assert time.monotonic() - begun < 0.5  # no call waits for a server that is away
    finally:
        postgres.start()
    until(lambda: mended(store))
    assert store.state("ward-3").total == before
    assert store.decide(policy, call(START + 1)).verdict is Verdict.ALLOWED
    store.close()
    last = opened()
    assert last.verify()[1] == ""
    kept = rows(last)
    assert len([row for row in kept if row.get("verdict") == "allowed" and row["client"] == "ward-3"]) == before + 1
    assert sum(row.get("calls", 0) for row in kept if row["what"] == "store back") >= 101


def test_a_postgresql_that_hangs_fails_in_seconds(opened, postgres):
    store = opened()
    store.decide(POLICY, call())
    postgres.freeze()
    try:
        begun = time.monotonic()
        with pytest.raises(StoreFailed):
            store.decide(POLICY, call())
        assert time.monotonic() - begun < 4
        begun = time.monotonic()
        with pytest.raises(StoreFailed):
            store.decide(POLICY, call())
        assert time.monotonic() - begun < 0.1
    finally:
        postgres.freeze(still=False)
    until(lambda: mended(store))
    assert store.verify()[1] == ""


# Who can write to Redis ----------------------------------------------------------------------------------------------


def test_rows_that_were_forged_or_taken_out_in_redis_show(opened, valkey, monkeypatch):
    store = opened(fast=True)
    store._mover._stopped.set()  # rows stay in Redis
    store._mover._thread.join()
    for number in range(3):
        store.decide(POLICY, call(START + number))
    server = redis.Redis.from_url(valkey.url)
    stream = store.stream
    second, facts = server.xrange(stream)[1]
    server.xdel(stream, second)
    server.xadd(stream, facts | {b"s": 9, b"t": b'{"what":"call","client":"lab"}'})
    server.xadd(stream, {b"junk": b"\xff"})
    monkeypatch.setattr("safelight.guard.stores.mover.GAP", -1.0)
    store._mover._rows(last=False)
    assert [row["what"] for row in rows(store)] == ["call", "rows lost", "call", "forged row", "forged row"]
    assert store.verify()[1] == ""


def test_redis_whose_memory_was_wiped_gives_nothing_back(opened, valkey):
    store = opened(fast=True)
    policy = replace(POLICY, budget=Budget(lifetime=500))
    assert all(store.decide(policy, call()).verdict is Verdict.ALLOWED for _ in range(120))
    redis.Redis.from_url(valkey.url).flushall()
    after = 0
    while True:
        decision = store.decide(policy, call())
        if decision.verdict is not Verdict.ALLOWED:
            break
        after += 1
    assert decision.limit is Limit.LIFETIME
    assert 500 - BATCH <= 120 + after <= 500


# Who can write to PostgreSQL -----------------------------------------------------------------------------------------


def written(store, statement: str) -> None:
    with psycopg.connect(store.url, autocommit=True) as database:
        database.execute(statement)


@pytest.mark.parametrize("fast", [False, True])
def test_budgets_and_steps_in_postgresql_are_held_to_the_log(opened, fast):
    store = opened(fast)
    policy = replace(POLICY, budget=Budget(600, 500, 1000), cohorts={"wards": Budget(600)}, models={"diag": Budget()})
    for at in (START, START + 1, START + 86400):
        store.decide(policy, call(at, 3))
    store.step("held", Step.QUARANTINE, START + 9e5, START)
    until(lambda: len(rows(store)) == 4)
    ledger = Ledger()
    assert store.verify(ledger=ledger)[1] == ""
    assert ledger.words == "3 budgets and 1 step agree with the log"
    held = opened().state("ward-3").total
    assert held == 9 if not fast else held > 100  # what is set aside counts as spent
    for table, change, back, words in (
        ("clients WHERE client = 'ward-3'", "total = total - 1", "total = total + 1",
         f"client 'ward-3' has spent {held - 1} records in the database, and {held} in the log"),
        ("accounts WHERE account LIKE '[\"cohort%'", "day = day + 9", "day = day - 9", "cohort 'wards' is on day 208"),
        ("clients WHERE client = 'held'", "step = 0", "step = 5", "client 'held' has no step in the database"),
        ("clients WHERE client = 'held'", "until = until - 9", "until = until + 9", "client 'held' has the step 'quar"),
    ):  # fmt: skip
        name, where = table.split(" ", 1)
        written(store, f"UPDATE safelight_{name} SET {change} {where}")
        assert words in store.verify()[1]
        written(store, f"UPDATE safelight_{name} SET {back} {where}")
        assert store.verify()[1] == ""


def test_more_than_was_set_aside_shows(opened, valkey):
    """Redis has no key: who writes to it can free a budget, and the rows of the calls say how much of it."""
    store = opened(fast=True)
    policy = replace(POLICY, budget=Budget(None, 30, 60))
    for _ in range(30):
        store.decide(policy, call())
    server, key = redis.Redis.from_url(valkey.url), store._fast.line.client("ward-3")
    server.hset(key, mapping={"today": 0})
    assert store.decide(policy, call()).verdict is Verdict.ALLOWED
    until(lambda: len(rows(store)) == 31)
    words = "client 'ward-3' was charged 31 records of its day, and 30 were set aside"
    assert words in store.verify()[1]
    server.hset(key, mapping={"today": 0, "total": 0})
    for _ in range(30):
        store.decide(policy, call())
    until(lambda: len(rows(store)) == 61)
    ledger = Ledger()
    store.verify(ledger=ledger)
    assert any("client 'ward-3' was charged 61 records, and 60 were set aside" in words for words in ledger.found)


def test_a_budget_that_was_lowered_before_redis_began_anew_shows(opened, valkey):
    store = opened(fast=True)
    policy = replace(POLICY, budget=Budget(lifetime=1000))
    for _ in range(30):
        store.decide(policy, call())
    written(store, "UPDATE safelight_clients SET total = 0, today = 0")
    redis.Redis.from_url(valkey.url).flushall()
    store.decide(policy, call())
    until(lambda: len(rows(store)) == 31)
    assert "client 'ward-3' had 0 records set aside before it, and the rows before say 100" in store.verify()[1]


def test_what_was_set_aside_for_a_large_call_counts_on_the_next_day_too(opened):
    store = opened(fast=True)
    policy = replace(POLICY, budget=Budget(lifetime=10_000))
    store.decide(policy, call())
    line = store._fast.line
    store._more(line, call(records=500), line.client("ward-3"), "", policy.budget, 1, 1, int(START // 86400))
    for _ in range(5):
        assert store.decide(policy, call(START + 86400, 90)).verdict is Verdict.ALLOWED
    until(lambda: len(rows(store)) == 6)
    assert store.verify()[1] == ""


def test_a_table_that_drops_what_is_written_fails_and_shows(opened):
    store = opened()
    store.decide(POLICY, call())
    written(store, "CREATE RULE r AS ON INSERT TO safelight_log DO INSTEAD NOTHING")
    with pytest.raises(StoreFailed, match="a row was not taken: its table has a trigger or a rule that no guard made"):
        store.decide(POLICY, call(START + 1))
    until(lambda: store._keeper.line is not None)
    assert "the database has a rule 'r', which no guard made" in store.verify()[1]


def test_a_step_that_was_taken_away_in_redis_shows(opened, valkey):
    store = opened(fast=True)
    store.decide(POLICY, call())
    store.quarantine("ward-3", START + 9e5, START)
    assert store.decide(POLICY, call(START + 700)).verdict is Verdict.QUARANTINED
    redis.Redis.from_url(valkey.url).hset(store._fast.line.client("ward-3"), "step", 0)
    assert store.decide(POLICY, call(START + 701)).verdict is Verdict.ALLOWED
    until(lambda: len(rows(store)) == 4)
    assert "client 'ward-3' was judged with the step 'none', and the log says the step 'qu" in store.verify()[1]


def test_a_redis_that_was_away_is_told_of_steps_before_it_judges(opened):
    store = opened(fast=True)
    store.decide(POLICY, call())
    store._mover._stopped.set()  # nothing else tells it
    store._mover._thread.join()
    opened().quarantine("ward-3", START + 60, START)
    store._fast.lost(OSError("gone"))
    until(lambda: store._fast.line is not None)
    assert store.decide(POLICY, call(START + 1)).verdict is Verdict.QUARANTINED
