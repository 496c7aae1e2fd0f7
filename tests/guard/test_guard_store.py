"""Budgets survive a kill, two processes share them, and the log shows every change made to it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.chain import START as FIRST
from safelight.guard.chain import Head, digest, secret, text_of
from safelight.guard.judge import Call, ClientState, Limit, Step, Verdict, judge
from safelight.guard.policy import Budget, GuardPolicy, Protocol, Upstream
from safelight.guard.store import Store
from safelight.guard.stores.sqlite import REMEMBERED, SqliteStore

START = 1_800_000_000.0
POLICY = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path(), budget=Budget(lifetime=10))


def call(at: float = START, records: int = 1, client: str = "ward-3") -> Call:
    return Call(client, "wards", "diag", at, records, b"\x01" * 32)


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "guard.db")
    yield opened
    opened.close()


def test_what_is_spent_stays_spent_after_the_file_is_opened_again(store):
    assert store.decide(POLICY, call(records=7)).verdict is Verdict.ALLOWED
    store.close()
    again = Store.open(store.path)
    assert again.state("ward-3").total == 7
    assert again.decide(POLICY, call(records=4)).limit is Limit.LIFETIME
    assert again.decide(POLICY, call(records=3)).verdict is Verdict.ALLOWED
    assert again.decide(POLICY, call(client="lab")).verdict is Verdict.ALLOWED
    again.close()


def test_the_database_is_for_its_owner_alone(tmp_path):
    (tmp_path / "old.db").touch(0o644)
    for name, mode in (("guard.db", 0o600), ("old.db", 0o644)):  # one that is there already is left as it is
        opened = Store.open(tmp_path / name)
        opened.note("policy", START)
        assert [(tmp_path / f"{name}{end}").stat().st_mode & 0o777 for end in ("", "-wal", "-shm")] == [mode] * 3
        opened.close()


def test_the_states_of_many_are_read_at_once(store):
    store.decide(POLICY, call(records=3))
    store.step("lab", Step.SLOW, START + 60, START)
    found = store.states(["lab", "ward-3", "nobody"])
    assert found == {name: store.state(name) for name in ("lab", "ward-3", "nobody")}
    assert (found["ward-3"].total, found["lab"].step, found["nobody"].total) == (3, Step.SLOW, 0)


def test_quarantine_and_release_are_seen_by_another_connection_at_once(store):
    other = Store.open(store.path)
    store.quarantine("ward-3", START + 60, START)
    assert other.decide(POLICY, call()).verdict is Verdict.QUARANTINED
    store.quarantine("ward-3", START, START)
    assert other.decide(POLICY, call()).verdict is Verdict.ALLOWED
    other.close()


def test_refusals_in_a_row_are_counted_in_one_row_a_minute(store):
    store.decide(POLICY, call(records=10))
    for second in range(100):
        assert store.decide(POLICY, call(START + second)).limit is Limit.LIFETIME
    store.decide(replace(POLICY, budget=Budget()), call(START + 100), "it is no JSON")
    store.close()
    with sqlite3.connect(store.path) as database:
        rows = [json.loads(text) for (text,) in database.execute("SELECT text FROM log ORDER BY number")]
    assert [row["verdict"] for row in rows] == ["allowed", "later", "later", "allowed"]
    assert [row.get("refused_before", 0) for row in rows] == [0, 0, 59, 39]
    assert rows[-1]["unread"] == "it is no JSON"


def filled(store: Store) -> None:
    for number in range(5):
        store.decide(POLICY, call(START + number))
    store.note("policy", START + 9, words="read again")


def changed(store: Store, statement: str) -> str:
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute(statement)
    return store.verify()[1]


def test_a_whole_log_verifies_and_holds_no_record_and_no_key(store):
    filled(store)
    head, trouble = store.verify()
    assert (head.rows, trouble) == (6, "")
    store.close()
    assert store.key.hex().encode() not in store.path.read_bytes()


@pytest.mark.parametrize(
    ("statement", "trouble"),
    [
        ("UPDATE log SET text = replace(text, 'ward-3', 'lab') WHERE number = 2", "row 2 was changed"),
        ("UPDATE log SET digest = zeroblob(32) WHERE number = 4", "row 4 was changed"),
        ("DELETE FROM log WHERE number = 3", "row 3 is missing"),
        ("DELETE FROM log WHERE number = 1", "row 1 is missing"),
        ("UPDATE log SET number = CASE number WHEN 2 THEN 99 ELSE number END", "row 2 is missing"),
        (
            "UPDATE log SET text = (SELECT text FROM log AS other WHERE other.number = 5 - log.number), digest = "
            "(SELECT digest FROM log AS other WHERE other.number = 5 - log.number) WHERE number IN (2, 3)",
            "row 2 was changed",
        ),
        ("INSERT INTO log SELECT 7, text, digest FROM log WHERE number = 6", "row 7 was changed"),
    ],
)
def test_every_change_of_the_log_shows(store, statement, trouble):
    filled(store)
    assert changed(store, statement).startswith(trouble)


def test_rows_cut_off_at_the_end_show_against_a_head_that_was_noted(store):
    filled(store)
    noted, _ = store.verify()
    assert changed(store, "DELETE FROM log WHERE number > 5") == ""
    assert store.verify(noted)[1] == "the log ends at row 5, and row 6 was noted"
    store.note("more", START)
    assert store.verify(noted)[1] == "row 6 is not the one that was noted"
    assert store.verify(Head(2, "00"))[1] == "row 2 is not the one that was noted"


def test_with_another_key_nothing_fits(store):
    filled(store)
    assert SqliteStore(store.path, os.urandom(32)).verify()[1].startswith("row 1 was changed")


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path):
    Store.open(tmp_path / "guard.db").close()
    key = tmp_path / "guard.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o644)
    with pytest.raises(InputError, match="can be read by others"):
        Store.open(tmp_path / "guard.db")
    key.chmod(0o600)
    key.write_text("short")
    with pytest.raises(InputError, match="holds no key of 64 hexadecimal digits"):
        Store.open(tmp_path / "guard.db")


def test_a_file_that_is_no_database_and_one_that_breaks_later_are_said(tmp_path, store):
    (tmp_path / "other.db").write_text("no database, but more than a hundred bytes of text" * 9)
    with pytest.raises(InputError, match="cannot be used as the guard's database"):
        Store.open(tmp_path / "other.db")
    filled(store)
    store.close()
    kept = store.path.read_bytes()
    store.path.write_bytes(b"no database" * 999)
    with pytest.raises(StoreFailed, match="cannot be read or written"):
        store.decide(POLICY, call())
    store.path.write_bytes(kept)
    assert store.decide(POLICY, call(START + 9)).verdict is Verdict.ALLOWED  # it mends itself


SPENDER = """
import sys
from pathlib import Path
from safelight.guard.judge import Call
from safelight.guard.policy import Budget, GuardPolicy, Protocol, Upstream
from safelight.guard.store import Store
store = Store.open(Path(sys.argv[1]))
policy = GuardPolicy(Upstream("http://127.0.0.1:1", Protocol.OIP), Path(), budget=Budget(lifetime=int(sys.argv[2])))
print("ready", flush=True)
sys.stdin.readline()
while True:
    decision = store.decide(policy, Call("ward-3", "", "diag", 1.8e9, 1, b""))
    print(decision.verdict.value, flush=True)
    if decision.retry_after:
        break
"""


def spender(path: Path, lifetime: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", SPENDER, str(path), str(lifetime)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_spend_one_budget_exactly(store):
    processes = [spender(store.path, 300) for _ in range(2)]
    answers = []
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        answers += process.communicate(timeout=60)[0].split()
    assert answers.count("allowed") == 300
    assert store.state("ward-3").total == 300
    assert store.verify()[0].rows == len(answers) == 302


def test_a_process_that_is_killed_gives_nothing_back(store):
    process = spender(store.path, 10**9)
    process.stdin.write("go\n")
    process.stdin.flush()
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read().count("allowed")
    process.wait()
    assert told > 10
    assert told <= store.state("ward-3").total <= told + 1
    head, trouble = store.verify()
    assert trouble == ""
    assert head.rows == store.state("ward-3").total
    assert store.decide(replace(POLICY, budget=Budget(lifetime=told)), call()).limit is Limit.LIFETIME


def test_what_is_in_memory_is_what_the_file_holds_whoever_writes(store):
    other = Store.open(store.path)
    policy = replace(POLICY, budget=Budget(50, 300, 900), cohorts={"wards": Budget(40)}, models={"m": Budget(None, 60)})
    rng, at = np.random.default_rng(0), START
    clients: dict[str, ClientState] = {}
    others: dict[str, object] = {}
    for turn in range(400):
        at += float(rng.choice([0.0, 0.1, 20.0]))
        client = f"c{rng.integers(4)}"
        asked = Call(client, str(rng.choice(["wards", "lab"])), str(rng.choice(["m", "n"])), at, 1 + turn % 7, b"")
        one = (store, other)[int(rng.integers(2))]
        if rng.random() < 0.05:
            one.step(client, Step.QUARANTINE, at + 5, at)
            clients[client] = replace(clients.get(client, ClientState()), step=Step.QUARANTINE, until=at + 5)
        state = replace(clients.get(client, ClientState()), others=others)
        expected, after = judge(policy, state, asked)
        assert one.decide(policy, asked) == expected
        others |= after.others
        clients[client] = replace(after, others={})
    assert {name: state.total for name, state in store.clients().items()} == {
        name: state.total for name, state in clients.items()
    }
    assert store.verify() == other.verify()
    assert store.verify()[1] == ""
    other.close()


def test_memory_is_bounded_and_forgets_what_was_rolled_back(store, monkeypatch):
    monkeypatch.setattr("safelight.guard.stores.sqlite.REMEMBERED", 5)
    for number in range(40):
        store.decide(POLICY, call(client=f"c{number}"))
    assert REMEMBERED >= 5 >= len(store._clients)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_insert", lambda rows: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.decide(POLICY, call(client="c39", records=9))
    assert store.state("c39").total == 1
    assert store.decide(POLICY, call(client="c39", records=9)).verdict is Verdict.ALLOWED


def test_documents_are_written_with_their_row_by_one_at_a_time(store):
    other = Store.open(store.path)
    assert store.read("alias", "champion") is None
    first = store.write("alias", "champion", {"version": "3"}, 0, what="promote", at=START, by="ann")
    assert (first.version, other.read("alias", "champion")) == (1, first)
    with pytest.raises(Changed, match=r"The alias 'champion' was changed meanwhile \(version 1, not 0\); look again"):
        other.write("alias", "champion", {"version": "4"}, 0, what="promote", at=START)
    assert other.write("alias", "champion", {"version": "4"}, 1, what="promote", at=START).version == 2
    store.write("alias", "a", {}, 0, what="promote", at=START)
    assert [(one.name, one.version) for one in store.documents("alias")] == [("a", 1), ("champion", 2)]
    assert store.documents("incident") == []
    found = [json.loads(row.text) for row in store.tail(9)]
    assert [(row["name"], row["version"], row.get("by")) for row in found] == [
        ("a", 1, None), ("champion", 2, None), ("champion", 1, "ann")]  # fmt: skip
    other.close()


def test_the_log_is_walked_while_calls_go_on(store):
    filled(store)
    with store._log() as (rows, _):
        next(rows)
        begun = time.monotonic()
        assert store.decide(POLICY, call(START + 20)).verdict is Verdict.ALLOWED
        assert time.monotonic() - begun < 1
        assert len(list(rows)) == 5
    assert store.verify()[0].rows == 7


def test_calls_that_could_not_be_judged_are_said_on_return(store):
    filled(store)
    store.close()
    kept = store.path.read_bytes()
    store.path.write_bytes(b"no database" * 999)
    for number in range(3):
        with pytest.raises(StoreFailed):
            store.decide(POLICY, call(START + 20 + number, records=2))
    store.path.write_bytes(kept)
    store.decide(POLICY, call(START + 30))
    row = json.loads(store.tail(2)[1].text)
    assert row == {"what": "store back", "at": START + 20, "calls": 3, "records": 6, "fail": "closed"}
    store.decide(POLICY, call(START + 31))
    assert json.loads(store.tail(2)[1].text)["what"] == "call"


OLD = """
CREATE TABLE clients (client TEXT PRIMARY KEY, arrival REAL NOT NULL, day INTEGER NOT NULL,
  today INTEGER NOT NULL, total INTEGER NOT NULL, until REAL NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE log (number INTEGER PRIMARY KEY, text TEXT NOT NULL, digest BLOB NOT NULL);
INSERT INTO clients VALUES ('ward-3', 0, 20833, 4, 9, 0, 1800000000), ('lab', 0, 20833, 1, 1, 1800000060, 1800000000);
"""
ROWS = [
    {"what": "call", "client": "ward-3", "at": START - 86400, "records": 5, "verdict": "allowed"},
    {"what": "call", "client": "ward-3", "at": START, "records": 4, "verdict": "allowed"},
    {"what": "call", "client": "lab", "at": START, "records": 1, "verdict": "allowed"},
    {"what": "quarantine", "client": "lab", "until": START + 60, "at": START},
]


def test_a_file_from_before_there_were_steps_is_brought_up_to_date(tmp_path):
    with sqlite3.connect(tmp_path / "guard.db") as database:
        database.executescript(OLD)
        last = FIRST
        for number, facts in enumerate(ROWS, 1):
            last = digest(secret(tmp_path / "guard.key"), last, number, text_of(facts))
            database.execute("INSERT INTO log VALUES (?, ?, ?)", (number, text_of(facts), last))
    for _ in range(2):
        store = Store.open(tmp_path / "guard.db")
        assert store.decide(POLICY, call(records=2)).limit is Limit.LIFETIME
        assert store.decide(POLICY, call(client="lab")).verdict is Verdict.QUARANTINED
        assert store.documents("alias") == []
        assert store.verify()[1] == ""
        store.close()


def test_a_file_of_a_newer_version_is_refused(store):
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(InputError, match=r"was written by a newer Safelight \(tables 9, not 2\); install that one"):
        Store.open(store.path)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ("UPDATE documents SET text = '{\"clients\": []}'", "the approval 'A0001' is not what was written"),
        (
            "UPDATE documents SET text = '{\"clients\": []}', version = 9",
            "the approval 'A0001' is not what was written",
        ),
        ("UPDATE documents SET version = 1", "the approval 'A0001' is not what was written"),
        ("DELETE FROM documents", "the approval 'A0001' is gone"),
    ],
)
def test_a_document_that_was_changed_beside_the_log_shows(store, change, trouble):
    for version in range(2):
        store.write("approval", "A0001", {"clients": ("a",), "at": float(version)}, version, what="asked", at=START)
    store.write("incident", "I0001", {"score": float("nan")}, 0, what="incident opened", at=START, by='"seal":"')
    assert store.verify()[1] == ""
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute(f"{change} WHERE kind = 'approval'")
    assert store.verify()[1] == trouble


def test_a_document_that_was_taken_away_for_a_while_shows(store):
    for version in range(2):
        store.write("tokens", "ward-3", {"used": version}, version, what="token", at=START)
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute("DELETE FROM documents")
    store.write("tokens", "ward-3", {"used": 0}, 0, what="token", at=START)
    store.write("tokens", "ward-3", {"used": 1}, 1, what="token", at=START)
    assert store.verify()[1] == "the tokens 'ward-3' was at version 0, and the rows before say 2"
