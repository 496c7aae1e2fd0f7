"""`safelight guard`: the operator's commands, and what they say when something is missing."""

import hashlib
import sqlite3
import subprocess
import sys
import time

import pytest

from safelight.cli import main
from safelight.guard.judge import Call, Verdict
from safelight.guard.policy import read_policy
from safelight.guard.store import Store

DIGEST = hashlib.sha256(b"key").hexdigest()
TEXT = f"""
[upstream]
url = "http://127.0.0.1:1"
protocol = "oip"
[[clients.key]]
id = "ward-3"
sha256 = "{DIGEST}"
"""


@pytest.fixture
def policy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guard.toml").write_text(TEXT)
    return read_policy(tmp_path / "guard.toml")


def asked(policy) -> Verdict:
    store = Store.open(policy.database)
    decision = store.decide(policy, Call("ward-3", "", "diag", time.time(), 4, b""))
    store.close()
    return decision.verdict


def test_a_quarantine_holds_and_is_released_and_the_list_says_so(policy, capsys):
    assert asked(policy) is Verdict.ALLOWED
    assert main(["guard", "quarantine", "ward-3", "--minutes", "2"]) == 0
    assert asked(policy) is Verdict.QUARANTINED
    assert main(["guard", "clients"]) == 0
    line = capsys.readouterr().out.splitlines()[-1].split()
    assert line[:3] == ["ward-3", "4", "4"]
    assert 100 < int(line[3]) <= 120
    assert main(["guard", "release", "ward-3"]) == 0
    assert asked(policy) is Verdict.ALLOWED
    for minutes, said in (("1", "1 minute"), ("0.5", "0.5 minutes"), ("2", "2 minutes")):
        capsys.readouterr()
        assert main(["guard", "quarantine", "ward-3", "--minutes", minutes]) == 0
        assert capsys.readouterr().out == f"ward-3 is in quarantine for {said}.\n"


def test_verify_tells_a_whole_log_from_a_changed_or_a_shorter_one(policy, capsys):
    for _ in range(2):
        asked(policy)
    store = Store.open(policy.database)
    store.note("policy", time.time())
    store.close()
    assert main(["guard", "verify"]) == 0
    said, compared, head = capsys.readouterr().out.splitlines()
    assert (said, compared) == ("The log is whole.", "1 budget and 0 steps agree with the log.")
    assert head.startswith("3:")
    with sqlite3.connect(policy.database) as database:
        database.execute("DELETE FROM log WHERE number = 3")
    assert main(["guard", "verify"]) == 0
    assert main(["guard", "verify", "--noted", head]) == 1
    assert "the log ends at row 2, and row 3 was noted" in capsys.readouterr().out
    with sqlite3.connect(policy.database) as database:
        database.execute("UPDATE log SET text = replace(text, '\"records\":4', '\"records\":1') WHERE number = 2")
    assert main(["guard", "verify"]) == 1
    assert "not whole: row 2 was changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (["clients"], "There is no database"),
        (["quarantine", "ward-3"], "There is no database"),
        (["verify", "--noted", "3"], "--noted is '3'; give rows:digest"),
        (["quarantine", "ward-3", "--minutes", "0"], "--minutes is 0.0; give a number above 0"),
        (["run", "--policy", "other.toml"], "other.toml cannot be read"),
        (["run", "--upstream", "ftp://x"], "The address of the model server is 'ftp://x'; write http://host:port"),
    ],
)
def test_what_is_missing_is_said(policy, words, trouble, capsys):
    assert main(["guard", *words]) == 2
    assert trouble in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "lists"), [(["guard", "status"], "safelight guard --help"), (["relase"], "safelight --help")]
)
def test_a_command_that_nobody_knows_is_told_where_all_are_listed(words, lists, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err.endswith(f"safelight: `{lists}` lists all commands.\n")


def run(port):
    """Serve in a process of its own: a server that cannot start may take its process's files with it."""
    words = [sys.executable, "-m", "safelight", "guard", "run", "--port", str(port)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def test_a_client_that_nobody_is_gets_a_hint_and_a_taken_port_is_said(policy, capsys):
    import socket

    asked(policy)
    assert main(["guard", "quarantine", "ward-4"]) == 2
    assert "There is no client 'ward-4'. Did you mean 'ward-3'?" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(taken.getsockname()[1])
    assert ended.returncode == 2
    assert "Nothing can listen at 127.0.0.1" in ended.stderr
    ended = run(70000)
    assert ended.returncode == 2
    assert "Nothing can listen at 127.0.0.1, port 70000; name a free one with --port, or another" in ended.stderr
    assert "1 client; fails closed" in ended.stderr


def test_signals_that_nothing_watches_are_said(policy, tmp_path):
    import socket

    (tmp_path / "guard.toml").write_text(TEXT + '[signals]\nrecord = "traffic.npy"\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = run(taken.getsockname()[1]).stderr
    assert "nothing watches sequences of calls" in said
    assert "calls are recorded as they are in traffic.npy; take record out" in said
