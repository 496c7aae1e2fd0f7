"""Who can write the database and has no key of the log can spend nothing twice and end no step unseen."""

import asyncio
import hashlib
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from safelight.cli import main
from safelight.errors import StoreFailed
from safelight.guard.alarm import Alarm
from safelight.guard.chain import START as FIRST
from safelight.guard.chain import digest, text_of
from safelight.guard.exchange import Answer, send_answer
from safelight.guard.judge import Call, Step, Verdict
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import Budget, GuardPolicy, Protocol, Upstream
from safelight.guard.store import Store
from safelight.guard.stores.ledger import Ledger

START, DAY = 1_800_000_000.0, 86400.0
BUDGETS = {"cohorts": {"wards": Budget(60, 300, 3000)}, "models": {"diag": Budget(None, 200)}}
POLICY = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path(), budget=Budget(60, 400, 4000), **BUDGETS)


def call(at: float = START, records: int = 1, client: str = "ward-3", model: str = "diag") -> Call:
    return Call(client, "wards" if client.startswith("ward") else "", model, at, records, b"\x01" * 32)


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "guard.db")
    yield opened
    opened.close()


def tamper(store, *statements):
    """Write the database as somebody does who has no key."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def compared(store) -> str:
    ledger = Ledger()
    assert store.verify(ledger=ledger)[1] == ""
    return ledger.words


# What is honest agrees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_two_guards_days_refusals_steps_and_clocks_that_go_back_agree(store, seed):
    other, rng, at = Store.open(store.path), np.random.default_rng(seed), START + 0.123456
    steps = list(Step)
    for turn in range(600):
        at += float(rng.choice([0.0, 0.2, 1.0, 61.0, -30.0, 20000.0], p=[0.3, 0.3, 0.2, 0.1, 0.07, 0.03]))
        one = (store, other)[int(rng.integers(2))]
        client, model = str(rng.choice(["ward-3", "ward-4", "lab"])), str(rng.choice(["diag", "triage"]))
        policy = POLICY if turn % 100 < 80 else replace(POLICY, cohorts={})
        asked = replace(call(at, int(rng.choice([1, 7, 70])), client, model), proven=bool(rng.random() < 0.5))
        one.decide(policy, asked, "it is no JSON" if turn % 50 == 0 else "")
        if rng.random() < 0.05:
            one.step(client, steps[int(rng.integers(len(steps)))], at + float(rng.choice([0.0, 30.0, 1e10 - at])), at)
        if turn % 97 == 0:
            one.close()  # and it is opened again
        if turn % 150 == 0:
            assert store.verify()[1] == ""
    allowed = sum(json.loads(row.text).get("verdict") == "allowed" for row in store.tail(10**6))
    assert 30 < allowed < 600
    assert compared(store).startswith("7 budgets and ")
    other.close()


@pytest.mark.parametrize("seconds", [-1e-3, -6e-4, -4e-4, 0.0, 4e-4, 6e-4])
def test_a_call_around_midnight_agrees(store, seconds):
    midnight = (START // DAY + 1) * DAY
    store.step("ward-3", Step.SLOW, midnight + seconds, midnight - 5)
    for at in (midnight - 1, midnight + seconds, midnight + seconds, midnight + 1):
        assert store.decide(POLICY, call(at)).verdict is Verdict.ALLOWED
    assert compared(store) == "3 budgets and 1 step agree with the log"


def test_odd_names_agree(store):
    for client, model in (("own", '["cohort"'), ("ward\U0001f600", "a" * 200), ("", "\x00")):
        store.decide(replace(POLICY, models={model: Budget()}), call(client=client, model=model))
    assert compared(store) == "7 budgets and 0 steps agree with the log"


def test_a_store_that_fails_in_between_agrees(store, monkeypatch):
    store.decide(POLICY, call())
    with monkeypatch.context() as patch:
        patch.setattr(store, "_insert", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.decide(POLICY, call(records=9))
    store.decide(POLICY, call(START + 1))
    assert compared(store) == "3 budgets and 0 steps agree with the log"


GUARD = """
[upstream]
url = "http://127.0.0.1:1"
protocol = "kserve-v1"
{keys}
[budget]
per_minute = 30
per_day = {daily}
[[budget.cohort]]
name = "wards"
lifetime = 150
[[budget.model]]
name = "diag"
per_day = 40
[[route]]
path = "/v1/models/free:predict"
fail = "open"
[actions]
playbooks = "playbooks.toml"
approval_above = 1
delay = 0
"""
BOOKS = '[[playbook]]\nname = "p"\nactions = ["coarsen:1m", "slow:2m", "challenge:3m", "quarantine:5m", "incident"]\n'


class Bell:
    """A watch that rings at every ninth question."""

    seen = 0

    def see(self, seen):
        self.seen += 1
        rung = Alarm(seen.client, seen.cohort, seen.model, seen.at, "rate", 2.0, 1.0, 8)
        return [rung] if self.seen % 9 == 0 else []


def test_a_guard_with_refusals_batches_alarms_releases_reloads_and_restarts_agrees(tmp_path):
    keys = "".join(
        f'[[clients.key]]\nid = "{name}"\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n' + cohort
        for name, cohort in (("ward-3", 'cohort = "wards"\n'), ("ward-4", 'cohort = "wards"\n'), ("lab", ""))
    )
    path, rng, now, bell = tmp_path / "guard.toml", np.random.default_rng(0), [START + 0.1234567], Bell()
    (tmp_path / "playbooks.toml").write_text(BOOKS)

    async def app(scope, receive, send):
        records = json.loads((await receive())["body"]).get("instances", [1])
        body = json.dumps({"predictions": [[0.6, 0.4]] * len(records)}).encode()
        await send_answer(send, Answer(200, [(b"content-type", b"application/json")], body))

    async def ask(guard, client, model, body):
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url="http://guard") as asking:
            headers = {"authorization": client, "content-type": "application/json"}
            return (await asking.post(f"/v1/models/{model}:predict", content=body, headers=headers)).status_code

    became = set()
    for daily in (100, 60, 200):
        path.write_text(GUARD.format(keys=keys, daily=daily))
        os.utime(path, (daily, daily))
        guard = GuardMiddleware(app, path, say=lambda words: None, clock=lambda: now[0], watcher=bell)
        for turn in range(150):
            now[0] += float(rng.choice([0.1, 2.0, 40.0, 4000.0], p=[0.6, 0.25, 0.1, 0.05]))
            client, model = (
                str(rng.choice(["ward-3", "ward-4", "lab", "nobody"])),
                str(rng.choice(["diag", "m", "free"])),
            )
            body = json.dumps({"instances": [[1.0]] * int(rng.choice([1, 2, 5, 31]))}) if turn % 11 else "{"
            became.add(asyncio.run(ask(guard, client, model, body)))
            if turn % 40 == 39:
                guard.store.quarantine(client, now[0], now[0])
            if turn == 75:
                path.write_text(GUARD.format(keys=keys, daily=50))
                os.utime(path, (daily + 1, daily + 1))
            if turn % 50 == 0:
                assert guard.store.verify()[1] == ""
        guard.close()
    assert became == {200, 400, 401, 403, 413, 429, 502}
    store = Store.open(tmp_path / "guard.db")
    what = {json.loads(row.text)["what"] for row in store.tail(10**6)}
    assert what >= {"coarsen", "slow", "challenge", "quarantine", "release", "alarm", "policy", "case"}
    assert compared(store).startswith("7 budgets and ")
    store.close()


# What somebody changed shows -----------------------------------------------------------------------------------------


@pytest.fixture
def busy(store):
    """Three calls of 5 records, one of a day later; another client in quarantine, a third one released."""
    for at in (START, START + 6, START + 12, START + DAY):
        store.decide(POLICY, call(at, 5))
    store.decide(POLICY, call(START + DAY, client="ward-4"))
    store.decide(POLICY, call(START + DAY, client="lab"))
    store.step("ward-4", Step.QUARANTINE, START + 9 * DAY, START + DAY)
    store.step("lab", Step.SLOW, START + 9 * DAY, START + DAY)
    store.step("lab", Step.NONE, START + DAY + 1, START + DAY + 1)
    assert store.verify()[1] == ""
    return store


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE clients SET total = 0 WHERE client = 'ward-3'",
         "client 'ward-3' has spent 0 records in the database, and 20 in the log"),
        ("UPDATE clients SET total = total + 1 WHERE client = 'ward-3'", "has spent 21 records in the database"),
        ("UPDATE clients SET total = 'x' WHERE client = 'ward-3'", "has spent x records in the database"),
        ("UPDATE clients SET today = 0 WHERE client = 'ward-3'",
         "client 'ward-3' has spent 0 records of its day in the database, and 5 in the log"),
        ("UPDATE clients SET day = day - 1 WHERE client = 'ward-3'", "client 'ward-3' is on day 20833 in the database"),
        ("UPDATE clients SET arrival = 0 WHERE client = 'ward-3'", "client 'ward-3' has its rate free at 0.0 in the"),
        ("UPDATE clients SET seen = 1e11 WHERE client = 'ward-4'", "client 'ward-4' was last seen at 100000000000.0"),
        ("DELETE FROM clients WHERE client = 'ward-3'",
         "client 'ward-3' has no records in the database, and the log says 20"),
        ("UPDATE accounts SET total = 1 WHERE account LIKE '[\"cohort%'",
         "cohort 'wards' has spent 1 records in the database, and 21 in the log"),
        ("DELETE FROM accounts WHERE account LIKE '%ward-3%'",
         "client 'ward-3' for the model 'diag' has no records in the database, and the log says 20"),
        ("INSERT INTO accounts VALUES ('[\"cohort\", \"lab\"]', 0, 1, 0, -9999)",
         "cohort 'lab' has spent -9999 records in the database, and 0 in the log"),
        ("INSERT INTO clients VALUES ('new', 0, 0, 0, -9999, 0, 0, 0)", "client 'new' has spent -9999 records"),
        ("UPDATE clients SET step = 0 WHERE client = 'ward-4'",
         "client 'ward-4' has no step in the database, and the step 'quarantine' until 2027-01-24 08:00:00 in the log"),
        ("UPDATE clients SET step = 3 WHERE client = 'ward-4'", "client 'ward-4' has the step 'slow' until"),
        ("UPDATE clients SET until = until - 86400 WHERE client = 'ward-4'",
         "client 'ward-4' has the step 'quarantine' until 2027-01-23 08:00:00 in the database"),
        ("UPDATE clients SET step = 6, until = 1e10 WHERE client = 'ward-3'",
         "client 'ward-3' has the step 'refuse' until released in the database, and no step in the log"),
        ("UPDATE clients SET step = 77, until = 1e300 WHERE client = 'ward-3'", "has the step 77 until 1e+300 in the"),
        ("UPDATE clients SET step = 3, until = until + 9 WHERE client = 'lab'",
         "client 'lab' has the step 'slow' until"),
    ],
)  # fmt: skip
def test_a_change_of_the_database_shows(busy, statement, words):
    tamper(busy, statement)
    assert words in busy.verify()[1]


@pytest.mark.parametrize(
    ("before", "asked", "after", "words"),
    [
        ("UPDATE clients SET total = total - 20 WHERE client = 'ward-3'", call(START + DAY + 60),
         "UPDATE clients SET total = total + 20 WHERE client = 'ward-3'",
         "row 10: client 'ward-3' had spent 0 records before it, and the rows before say 20"),
        ("UPDATE clients SET today = 0 WHERE client = 'ward-3'", call(START + DAY + 60),
         "UPDATE clients SET today = today + 5 WHERE client = 'ward-3'",
         "row 10: client 'ward-3' had spent 0 records of its day before it, and the rows before say 5"),
        ("UPDATE clients SET day = day + 9 WHERE client = 'ward-3'", call(START + DAY + 60),
         "UPDATE clients SET day = day - 9, today = 6 WHERE client = 'ward-3'",
         "row 10: client 'ward-3' was on day 20843 before it, and the rows before say day 20834"),
        ("UPDATE clients SET arrival = 0 WHERE client = 'ward-3'", call(START + DAY + 1),
         "UPDATE clients SET arrival = arrival + 5 WHERE client = 'ward-3'", "had its rate free at"),
        ("UPDATE clients SET arrival = arrival - 4 WHERE client = 'ward-3'", call(START + DAY + 1, 9),
         "UPDATE clients SET arrival = arrival + 4 WHERE client = 'ward-3'", "had its rate free at 1800086401.0"),
        ("UPDATE clients SET seen = seen + 60 WHERE client = 'ward-3'", call(START + DAY + 1, 9),
         "UPDATE clients SET seen = seen - 60 WHERE client = 'ward-3'",
         "row 10: client 'ward-3' was seen at 1800086460.0 before it, and the rows before say 1800086401.0"),
        ("DELETE FROM accounts WHERE account LIKE '[\"cohort%'", call(START + DAY + 60),
         "UPDATE accounts SET total = total + 21 WHERE account LIKE '[\"cohort%'",
         "row 10: cohort 'wards' had spent 0 records before it, and the rows before say 21"),
        ("UPDATE clients SET step = 0 WHERE client = 'ward-4'", call(START + DAY + 60, client="ward-4"),
         "UPDATE clients SET step = 5 WHERE client = 'ward-4'",
         "row 10: client 'ward-4' was judged with the step 'none', and the log says the step 'quarantine' until"),
        ("UPDATE clients SET seen = until WHERE client = 'ward-4'", call(START + DAY + 60, client="ward-4"),
         "UPDATE clients SET day = 20834 WHERE client = 'ward-4'", "row 10: client 'ward-4' was seen at 1800777600.0"),
        ("UPDATE clients SET step = 5, until = 1e10 WHERE client = 'ward-3'", call(START + DAY + 60),
         "UPDATE clients SET step = 0, until = 0 WHERE client = 'ward-3'",
         "row 10: client 'ward-3' was judged with the step 'quarantine', and the log says no step"),
    ],
)  # fmt: skip
def test_what_was_changed_for_a_while_and_put_back_shows(busy, before, asked, after, words):
    """Calls between the two changes were judged by what stood there, and their rows say so."""
    tamper(busy, before)
    busy.decide(POLICY, asked)
    tamper(busy, after)
    assert words in busy.verify()[1]


def test_calls_that_are_taken_out_at_the_end_show_and_an_old_copy_of_all_shows_against_a_noted_head_alone(busy):
    busy.close()
    kept, noted = busy.path.read_bytes(), busy.verify()[0]
    busy.decide(POLICY, call(START + DAY + 60, 5))
    tamper(busy, "DELETE FROM log WHERE number = 10")
    assert busy.verify()[1] == "client 'ward-3' has spent 25 records in the database, and 20 in the log (and 3 more)"
    busy.close()
    busy.path.write_bytes(kept)
    assert busy.verify()[1] == ""
    assert busy.verify(replace(noted, rows=10))[1] == "the log ends at row 9, and row 10 was noted"


NO_ROW = "CREATE TRIGGER t BEFORE INSERT ON log BEGIN SELECT RAISE(IGNORE); END"
ROW_TAKEN_OUT = "CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log WHERE number = new.number; END"
ONE_ROW = "x INTEGER GENERATED ALWAYS AS (1) STORED UNIQUE ON CONFLICT IGNORE"
OTHER_TABLE = (
    "ALTER TABLE log RENAME TO old",
    f"CREATE TABLE log (number INTEGER PRIMARY KEY, text TEXT, digest BLOB, {ONE_ROW})",
    "INSERT INTO log SELECT * FROM old WHERE number = 9",
)


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ((NO_ROW,), "it has a trigger 't', which no guard made"),
        ((ROW_TAKEN_OUT,), "it has a trigger 't', which no guard made"),
        (("CREATE VIEW v AS SELECT 1",), "it has a view 'v', which no guard made"),
        (OTHER_TABLE, "a row was not taken: somebody changed its table"),
    ],
)
def test_a_table_that_drops_what_is_written_fails_and_shows(busy, statements, words):
    """Rows and budgets that are dropped together would leave no trace."""
    tamper(busy, *statements)
    with pytest.raises(StoreFailed, match=words):
        busy.decide(POLICY, call(START + DAY + 60))
    assert ("row 1 is missing" if statements is OTHER_TABLE else words.removeprefix("it has ")) in busy.verify()[1]


def test_a_guard_that_runs_notices_that_rows_it_wrote_are_gone(busy):
    """Whoever cuts the log and the budgets to one earlier moment leaves them in agreement; the guard remembers."""
    busy.close()
    kept = busy.path.read_bytes()
    busy.decide(POLICY, call(START + DAY + 60, 5))
    busy.decide(POLICY, call(START + DAY + 61, 5))
    busy.close()
    busy.path.write_bytes(kept)
    assert busy.verify()[1] == ""
    assert busy.decide(POLICY, call(START + DAY + 61, 999)).verdict is Verdict.TOO_LARGE
    busy.decide(POLICY, call(START + DAY + 62, 5))
    words = "row 10: a guard had written row 11 before, and found that the log ends at row 9"
    assert busy.verify()[1] == words
    assert busy.verify()[0].rows == 12
    busy.decide(POLICY, call(START + DAY + 63, 5))
    assert (busy.verify()[0].rows, busy.verify()[1]) == (13, words)


def test_the_number_of_further_complaints_is_bounded(busy):
    with sqlite3.connect(busy.path) as database:
        database.executemany("INSERT INTO clients VALUES (?, 0, 0, 0, 7, 0, 0, 0)", [(f"c{n}",) for n in range(300)])
    ledger = Ledger()
    assert busy.verify(ledger=ledger)[1].endswith("(and 299 more)")
    assert len(ledger.found) == 100


# Rows of older logs --------------------------------------------------------------------------------------------------


def aged(store, last: int) -> None:
    """Take out of the first rows what older guards did not write, and seal the log anew."""
    store.close()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        before = FIRST
        for number, text in database.execute("SELECT number, text FROM log ORDER BY number").fetchall():
            facts = json.loads(text)
            if number <= last:
                facts.pop("spent", None)
                facts.pop("step", None)
            before = digest(store.key, before, number, text_of(facts))
            database.execute("UPDATE log SET text = ?, digest = ? WHERE number = ?", (text_of(facts), before, number))


def test_an_older_log_agrees_and_holds_clients_to_what_its_rows_add_up_to(busy):
    aged(busy, 9)
    assert compared(busy) == (
        "3 budgets and 1 step agree with the log; rows up to 6 are older and do not say what was charged; "
        "4 of cohorts and models could not be compared"
    )
    for statement, words in (
        ("UPDATE clients SET total = 19 WHERE client = 'ward-3'", "client 'ward-3' has spent 19 records in the"),
        ("UPDATE clients SET total = 20, today = 4 WHERE client = 'ward-3'", "has spent 4 records of its day"),
        ("UPDATE clients SET today = 5, day = day - 1 WHERE client = 'ward-3'", "client 'ward-3' is on day 20833"),
    ):
        tamper(busy, statement)
        assert words in busy.verify()[1]


def test_once_rows_say_what_was_charged_an_older_log_is_held_to_them(busy):
    aged(busy, 9)
    busy.decide(POLICY, call(START + DAY + 60))
    busy.decide(POLICY, call(START + DAY + 66))
    assert "2 of cohorts and models could not be compared" in compared(busy)
    tamper(busy, "UPDATE accounts SET total = 3 WHERE account LIKE '[\"cohort%'")
    assert busy.verify()[1] == "cohort 'wards' has spent 3 records in the database, and 23 in the log"


def test_what_was_given_back_before_a_guard_said_what_it_charges_shows(busy):
    aged(busy, 9)
    tamper(busy, "UPDATE clients SET total = 3 WHERE client = 'ward-3'")
    busy.decide(POLICY, call(START + DAY + 60))
    words = "row 10: client 'ward-3' had spent 3 records before it, and the rows before say 20 at least"
    assert busy.verify()[1].startswith(words)


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_compared(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("guard.toml").write_text('[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\nmodel = "diag"\n')
    store = Store.open(tmp_path / "guard.db")
    store.decide(POLICY, call(time.time(), 5, client="lab", model="triage"))
    store.close()
    assert main(["guard", "verify"]) == 0
    assert "The log is whole.\n1 budget and 0 steps agree with the log.\n1:" in capsys.readouterr().out
    tamper(store, "UPDATE clients SET total = 0")
    assert main(["guard", "verify"]) == 1
    said = capsys.readouterr().out
    words = "The log is whole, but client 'lab' has spent 0 records in the database, and 5 in the log."
    assert words in said


def test_a_step_that_nobody_of_ours_wrote_lets_nobody_through_and_shows(tmp_path):
    store = Store.open(tmp_path / "guard.db")
    store.quarantine("ward-3", START + 60, START)
    store._open.execute("UPDATE clients SET step = 77, until = until + 1e6")
    store.close()
    assert store.clients()["ward-3"].stands(START + 90) is Step.REFUSE
    assert "ward-3" in store.verify()[1]
