"""guard.toml is read strictly, says what is wrong, and is read again when it changes."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.guard.policy import Actions, Fail, Noise, Outputs, Protocol, read_policy
from safelight.guard.settling import LONGER, STILL
from safelight.guard.watch import WatchedPolicy

SMALLEST = '[upstream]\nurl = "http://127.0.0.1:5000"\nprotocol = "mlflow"\n'
DIGEST = hashlib.sha256(b"secret").hexdigest()
WHOLE = f"""
[upstream]
url = "http://127.0.0.1:5000"
protocol = "oip"
model = "diag@champion"
[clients]
header = "X-Api-Key"
[[clients.key]]
id = "ward-3"
sha256 = "{DIGEST.upper()}"
cohort = "wards"
[[clients.key]]
id = "lab"
env = "LAB_KEY"
[budget]
per_minute = 60
per_day = 2000
lifetime = 100000
[outputs]
top_k = 3
decimals = 2
label_only = false
names = ["predict_proba"]
[signals]
false_alarms_per_1000_clients = 1
reference = "calibration.npz"
[fail]
mode = "label-only"
[store]
url = "sqlite:///guard.db"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "guard.toml"
    path.write_text(text)
    return path


def test_a_whole_file_says_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_KEY", " other ")
    policy = read_policy(written(tmp_path, WHOLE))
    assert policy.upstream.protocol is Protocol.OIP
    assert policy.upstream.model == "diag@champion"
    assert policy.header == "x-api-key"
    assert policy.clients[DIGEST].id == "ward-3"
    assert policy.clients[DIGEST].cohort == "wards"
    assert policy.clients[hashlib.sha256(b"other").hexdigest()].id == "lab"
    assert (policy.budget.per_minute, policy.budget.per_day, policy.budget.lifetime) == (60, 2000, 100000)
    assert policy.outputs.defence == OutputPolicy(top_k=3, decimals=2)
    assert policy.outputs.names == ("predict_proba",)
    assert policy.signals is not None
    assert policy.signals.false_alarms_per_1000_clients == 1.0
    assert policy.fail is Fail.LABEL_ONLY
    assert policy.database == tmp_path / "guard.db"


def test_the_smallest_file_is_closed_without_limits(tmp_path):
    policy = read_policy(written(tmp_path, SMALLEST))
    assert policy.fail is Fail.CLOSED
    assert policy.clients == {}
    assert policy.budget.per_minute is None
    assert policy.signals is None


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("[upstream]\nprotocol = 'oip'", r"\[upstream\] needs the key 'url'"),
        ("[budget]\nper_minute = 3", r"\[upstream\] needs the key 'url'"),
        ("[upstream]\nulr = 'http://x'\nprotocol = 'oip'", r"\[upstream\] has no setting 'ulr'.*Did you mean 'url'"),
        (SMALLEST + "[buget]\n", r"unknown table \[buget\]. Did you mean 'budget'"),
        ("budget = 3\n" + SMALLEST, r"budget is 3; write a table \[budget\]"),
        (SMALLEST + "[budget]\nper_minte = 3", r"\[budget\] has no setting 'per_minte'.*Did you mean 'per_minute'"),
        (SMALLEST + "[budget]\nper_minute = 0", r"\[budget\], per_minute is 0; it must be at least 1"),
        (SMALLEST + "[budget]\nper_day = true", r"per_day is True; it must be int"),
        (SMALLEST + "[budget]\nper_day = 2.5", r"per_day is 2.5; it must be int"),
        (SMALLEST + "[outputs]\ndecimals = -1", r"decimals is -1; it must be at least 0"),
        (SMALLEST + "[outputs]\nlabel_only = 1", r"label_only is 1; it must be bool"),
        (SMALLEST + "[fail]\nmode = 'opn'", r"mode is 'opn'; use one of 'closed', 'open', 'label-only'. Did you mean"),
        (SMALLEST + "[signals]\nfalse_alarms_per_1000_clients = 0", r"it must be above 0"),
        (SMALLEST + "[store]\nurl = 'mysql://x'", r"\[store\] url is 'mysql://x'; it must be sqlite:///"),
        (SMALLEST + "[clients]\nheder = 'x'", r"\[clients\] has an unknown key 'heder'. Did you mean 'header'"),
        (SMALLEST + "[clients]\nheader = 'a b'", r"header is 'a b'; it must be the name of a header"),
        (SMALLEST + "[clients]\nkey = 'x'", r"key is no list; write \[\[clients.key\]\]"),
        (SMALLEST + "[[clients.key]]\nid = 'a'", "needs either sha256 or env"),
        (SMALLEST + "[[clients.key]]\nid = 'a'\nsha256 = 'ab'", "not 64 hexadecimal digits"),
        (SMALLEST + "[[clients.key]]\nid = 'a'\nenv = 'NO_SUCH_KEY'", "NO_SUCH_KEY of the client 'a' is empty"),
        (SMALLEST.replace("mlflow", "grpc"), "protocol is 'grpc'; use one of 'oip', 'kserve-v1', 'mlflow', 'openai'"),
        (SMALLEST.replace("mlflow", "jsonpath"), r"\[upstream.jsonpath\] and protocol = \"jsonpath\" go together"),
        (SMALLEST.replace("http://", "ftp://"), r"\[upstream\] url is 'ftp://127.0.0.1:5000'; write http://host:port"),
        (SMALLEST.replace("http://", "http://me:pw@"), "holds a password"),
        (SMALLEST.replace(":5000", ":port"), "write http://host:port"),
        ("[upstream", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path, text, trouble):
    with pytest.raises(InputError, match=trouble):
        read_policy(written(tmp_path, text))


def test_a_missing_file_and_clients_with_one_key_or_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_policy(tmp_path / "guard.toml")
    two = SMALLEST + f"[[clients.key]]\nid = 'a'\nsha256 = '{DIGEST}'\n[[clients.key]]\nid = '{{}}'\nsha256 = '{{}}'\n"
    with pytest.raises(InputError, match="'a' and 'b' have the same key"):
        read_policy(written(tmp_path, two.format("b", DIGEST)))
    with pytest.raises(InputError, match="Two clients are named 'a'"):
        read_policy(written(tmp_path, two.format("a", "0" * 64)))


def test_a_changed_file_is_read_again_and_a_broken_one_leaves_the_old_policy(tmp_path, rewrite):
    path = written(tmp_path, SMALLEST + "[budget]\nper_minute = 5\n")
    said: list[str] = []
    watched = WatchedPolicy(path, said.append)
    assert watched.now().budget.per_minute == 5
    rewrite(path, SMALLEST + "[budget]\nper_minute = 70\n")
    assert watched.now().budget.per_minute == 70
    assert said == [f"{path} was read again"]
    rewrite(path, SMALLEST + "[budget]\nper_minut = 9\n")
    assert watched.now().budget.per_minute == 70
    assert watched.now().budget.per_minute == 70  # said once
    assert "per_minut" in watched.trouble
    assert len(said) == 2
    assert said[1].startswith("the old policy stays in force: ")
    os.remove(path)
    assert watched.now().budget.per_minute == 70
    assert "per_minut" in watched.trouble  # a file that is gone may be on its way
    time.sleep(1.05)
    assert watched.now().budget.per_minute == 70
    assert "cannot be read" in watched.trouble
    rewrite(path, SMALLEST.replace("5000", "6000"))
    assert watched.now().upstream.url.endswith(":5000")
    assert "needs a restart" in watched.trouble
    rewrite(path, SMALLEST)
    assert watched.now().budget.per_minute is None
    assert watched.trouble == ""


WRITER = """
import sys, time
path, wait, *parts = sys.argv[1:]
with open(path, "w") as file:
    for part in parts:
        file.write(part)
        file.flush()
        time.sleep(float(wait))
"""
STRICT = SMALLEST + "[budget]\nper_minute = 5\n[outputs]\nlabel_only = true\n"


@pytest.mark.parametrize(
    "parts",
    [
        (SMALLEST + "[budget]\nper_minute = 6\n", "[outputs]\nlabel_only = true\n"),  # cut between two tables
        (SMALLEST + "[budget]\nper_minute = 6\n[outputs]\nlabel_", "only = true\n"),  # within a word
        ("", SMALLEST + "[budget]\nper_minute = 6\n", "[outputs]\nlabel_only = true\n"),  # emptied first
    ],
)
def test_a_file_that_is_still_being_written_is_no_policy(tmp_path, monkeypatch, parts):
    monkeypatch.setattr("safelight.guard.settling.LONGER", 10.0)  # a writer may be kept from its work for a while
    path = written(tmp_path, STRICT)
    said: list[str] = []
    watched = WatchedPolicy(path, said.append)
    took, start = set(), time.monotonic()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path), "0.3", *parts]) as writer:
        while writer.poll() is None or watched.now().budget.per_minute == 5:
            policy = watched.now()
            took.add((policy.budget.per_minute, policy.outputs.label_only))
            assert time.monotonic() - start < 20
            time.sleep(0.001)
    assert took | {(6, True)} == {(5, True), (6, True)}
    assert said == [f"{path} was read again"]
    assert (watched.now().budget.per_minute, watched.trouble) == (6, "")


def test_a_file_that_ends_within_a_number_is_not_taken_at_once(tmp_path):
    path = written(tmp_path, SMALLEST + "[budget]\nper_minute = 5")  # without an end of the line, as some editors write
    watched = WatchedPolicy(path)
    path.write_text(SMALLEST + "[budget]\nper_minute = 1")  # of 10
    until = time.monotonic() + 4 * STILL
    while time.monotonic() < until:
        assert watched.now().budget.per_minute == 5
        time.sleep(0.001)
    time.sleep(LONGER)
    assert watched.now().budget.per_minute == 1  # no more came


def test_a_whole_file_is_taken_after_a_moment_and_one_that_says_less_after_longer(tmp_path):
    path = written(tmp_path, STRICT)
    watched = WatchedPolicy(path)

    def taken(text, rate):
        path.write_text(text)
        start = time.monotonic()
        while watched.now().budget.per_minute != rate:
            assert time.monotonic() - start < 20
            time.sleep(0.001)
        return time.monotonic() - start

    assert STILL - 0.02 <= taken(STRICT.replace("= 5", "= 8") + "decimals = 2\n", 8) < LONGER
    assert taken(SMALLEST + "[budget]\nper_minute = 9\n", 9) >= LONGER - 0.02
    fresh = tmp_path / "fresh"
    fresh.write_text(SMALLEST)
    os.utime(fresh, (1e9, 1e9))  # as a file that was written before and is moved in whole
    fresh.replace(path)
    assert watched.now().budget.per_minute is None


def test_many_threads_read_a_change_once_and_none_waits(tmp_path, rewrite):
    path = written(tmp_path, STRICT)
    said: list[str] = []
    watched = WatchedPolicy(path, said.append)
    ended, found = threading.Event(), []

    def look():
        while not ended.is_set():
            found.append(watched.now().budget.per_minute)
            time.sleep(0.001)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for rate in (6, 7, 8):
        rewrite(tmp_path / "next", STRICT.replace("= 5", f"= {rate}"))
        (tmp_path / "next").replace(path)
        until = time.monotonic() + 10
        while watched.now().budget.per_minute != rate:
            assert time.monotonic() < until
            time.sleep(0.001)
    ended.set()
    for thread in threads:
        thread.join()
    assert said == [f"{path} was read again"] * 3
    assert set(found) <= {5, 6, 7, 8}


def test_a_guard_that_nobody_asks_notices_a_change_and_a_mistake_and_ends(tmp_path, guard_running):
    with guard_running(tmp_path, STRICT) as guard:
        for policy, words in (
            (STRICT.replace("= 5", "= 8"), "was read again"),
            (STRICT.replace("per_minute", "per_minut"), "the old policy stays in force"),
        ):
            guard.change(policy)
            begun = time.monotonic()
            while words not in guard.said():
                assert time.monotonic() - begun < 3  # in a second where the machine is not busy
                time.sleep(0.05)
    assert guard.process.returncode == 0
    assert "was not followed" not in guard.said()


def test_a_file_of_a_clock_that_is_ahead_is_still_when_it_was_looked_at_for_long_enough(tmp_path):
    path = written(tmp_path, STRICT)
    watched = WatchedPolicy(path)
    path.write_text(STRICT.replace("= 5", "= 8"))
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    assert watched.now().budget.per_minute == 5
    time.sleep(STILL)
    assert watched.now().budget.per_minute == 8


def test_coarser_answers_never_hold_more_than_those_of_others():
    actions, noise = Actions(top_k=2, decimals=1), Noise(2.0)
    assert actions.coarser(Outputs()) == Outputs(top_k=2, decimals=1)
    strict = Outputs(top_k=1, decimals=0, label_only=True, noise=noise)
    assert actions.coarser(strict) == strict
    assert actions.coarser(Outputs(top_k=5, decimals=3, noise=noise)) == Outputs(top_k=2, decimals=1, noise=noise)


@pytest.mark.parametrize(
    ("line", "words"),
    [("minutes = 1e7", "minutes is 1e+07; it must be above 0"), ("delay = 61", "delay is 61; it must be from 0 to 60")],
)
def test_actions_that_cannot_be_are_refused_in_a_sentence(line, words, tmp_path):
    (tmp_path / "guard.toml").write_text(
        f'[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n[actions]\n{line}\n'
    )
    with pytest.raises(InputError, match=re.escape(words)):
        read_policy(tmp_path / "guard.toml")
