"""The guard looks at answered calls: it records, calibrates, rings, quarantines, notes risks, follows its policy."""

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from safelight.cli import main
from safelight.cli.guard_run import begins
from safelight.errors import InputError
from safelight.guard.announce import few
from safelight.guard.drift.reference import DriftReference
from safelight.guard.judge import Step
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import read_policy
from safelight.guard.sight import RISK

DIGITS = load_digits()
X = DIGITS.data / 16.0
MODEL = LogisticRegression(max_iter=300).fit(X[:900], DIGITS.target[:900])
CLIENTS = 60
HEAD = """
[upstream]
url = "http://127.0.0.1:1"
protocol = "mlflow"
model = "digits"
"""
KEYS = "".join(
    f'[[clients.key]]\nid = "client-{number}"\nsha256 = "{hashlib.sha256(f"key-{number}".encode()).hexdigest()}"\n'
    for number in range(CLIENTS)
)


async def predict(request):
    x = np.array(json.loads(await request.body())["inputs"])
    return JSONResponse({"predictions": MODEL.predict_proba(x).tolist()})


APP = Starlette(routes=[Route("/invocations", predict, methods=["POST"])])


class Guarded:
    """One guard around the model, asked as one of its clients."""

    def __init__(self, folder: Path, text: str) -> None:
        self.policy, self.now, self.said = folder / "guard.toml", 1_800_000_000.0, []
        self.policy.write_text(text)
        self.guard = GuardMiddleware(APP, self.policy, clock=lambda: self.now, say=self.said.append)

    def ask(self, client: int, batches) -> list[int]:
        async def all_of_them() -> list[int]:
            transport = httpx.ASGITransport(self.guard)
            found = []
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as session:
                for x in batches:
                    self.now += 1.0
                    headers = {"authorization": f"Bearer key-{client}"}
                    answer = await session.post("/invocations", json={"inputs": x.tolist()}, headers=headers)
                    found.append(answer.status_code)
            return found

        return asyncio.run(all_of_them())


def climbing(rng, steps):
    """What a search for one class asks: small steps from noise toward a picture that the model is sure of."""
    x = rng.random(64)
    for _ in range(steps):
        tries = np.clip(x + 0.15 * rng.standard_normal((4, 64)), 0, 1)
        yield tries
        x = tries[MODEL.predict_proba(tries)[:, 3].argmax()]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a calibration that was learnt from traffic which the guard itself recorded."""
    folder, rng = tmp_path_factory.mktemp("site"), np.random.default_rng(0)
    signals = '[signals]\nrecord = "traffic.npy"\nfalse_alarms_per_1000_clients = 34\n'
    recording = Guarded(folder, HEAD + KEYS + signals)
    for client in range(CLIENTS):
        rows = rng.integers(900, 1500, size=48)
        assert set(recording.ask(client, np.array_split(X[rows], 12))) == {200}
    recording.guard.close()
    assert (folder / "traffic.npy").stat().st_mode & 0o077 == 0
    words = ["guard", "calibrate", "--policy", str(folder / "guard.toml"), "--traffic", str(folder / "traffic.npy")]
    assert main([*words, "--out", str(folder / "calibration.npz")]) == 0
    (folder / "guard.db").unlink()
    return folder


WATCH = '[signals]\nreference = "calibration.npz"\nfalse_alarms_per_1000_clients = 34\n'


@pytest.fixture
def watched(site):
    made = Guarded(site, HEAD + KEYS + WATCH)
    yield made
    made.guard.close()
    for name in ("guard.db", "guard.db-wal", "guard.db-shm"):
        (site / name).unlink(missing_ok=True)


def test_a_search_for_one_class_is_cut_short_and_others_go_on(watched):
    rng = np.random.default_rng(7)
    found = watched.ask(1, climbing(rng, 60))
    assert found[0] == 200
    assert found[-1] == 403
    assert found.index(403) <= 30  # before half of its questions
    assert set(watched.ask(2, [X[1500:1520]])) == {200}
    rows = [json.loads(row.text) for row in watched.guard.store.tail(500)]
    alarms = [row for row in rows if row["what"] == "alarm"]
    assert alarms
    assert alarms[-1]["client"] == "client-1"
    assert alarms[-1]["score"] > alarms[-1]["threshold"]
    assert watched.guard.store.state("client-1").stands(watched.now) >= Step.QUARANTINE
    assert watched.guard.store.verify()[1] == ""


def test_the_answer_that_rang_does_not_leave(watched):
    """One big question holds the whole attack: the watch sees all of it before any of it leaves."""
    rng = np.random.default_rng(8)
    assert watched.ask(1, [np.concatenate(list(climbing(rng, 60)))]) == [403]


def test_risks_are_noted_for_the_dashboard(watched):
    watched.ask(1, climbing(np.random.default_rng(9), 60))
    risk = watched.guard.store.read(RISK, "client-1")
    assert max(risk.facts["signals"].values()) > 1
    assert risk.facts["history"][-1][1] > 1
    assert watched.guard.store.read(RISK, "client-2") is None


def test_a_release_forgives_and_a_quarantine_that_ends_does_not(watched):
    harmless = np.array_split(X[1500:1540], 10)
    assert set(watched.ask(1, harmless)) == {200}
    track = watched.guard.sight.watcher._clients["digits", "client-1"]
    track.evidence = 1e6  # as after much that looked odd
    assert 403 in watched.ask(1, harmless)
    watched.now += 3700
    assert 403 in watched.ask(1, harmless)  # the quarantine is over, what was seen is not
    watched.guard.store.step("client-1", Step.NONE, watched.now, watched.now)
    assert set(watched.ask(1, harmless)) == {200}
    assert 403 in watched.ask(1, climbing(np.random.default_rng(11), 60))


def test_a_release_forgives_after_a_restart_too_and_not_what_comes_after_it(watched):
    harmless = np.array_split(X[1500:1540], 10)
    watched.ask(1, harmless)
    watcher = watched.guard.sight.watcher
    watcher._clients["digits", "client-1"].evidence = 1e6
    assert 403 in watched.ask(1, harmless)
    watched.now += 60
    watched.guard.store.step("client-1", Step.NONE, watched.now, watched.now)
    watched.guard.store.step("client-2", Step.NONE, watched.now, watched.now)
    watched.guard.close()
    again = Guarded(watched.policy.parent, watched.policy.read_text())
    again.now = watched.now + 60
    assert set(again.ask(1, harmless)) == {200}
    for client in (2, 3):  # one of them was released before it ever asked
        again.ask(client, climbing(np.random.default_rng(7), 60))
    rows = [json.loads(row.text) for row in reversed(again.guard.store.tail(500))]
    first = {row["client"]: row["records"] for row in reversed(rows) if row["what"] == "alarm"}
    assert first["client-2"] == first["client-3"]
    again.guard.close()


def test_a_reload_changes_what_is_looked_for_and_a_broken_file_keeps_the_old(watched, rewrite):
    text = watched.policy.read_text()
    rewrite(watched.policy, text.replace("calibration.npz", "nothing.npz"))
    assert set(watched.ask(3, [X[1500:1510]])) == {200}
    assert any("before looks on" in words for words in watched.said)
    assert watched.guard.sight.watches
    rewrite(watched.policy, HEAD + KEYS)
    watched.ask(3, [X[1500:1510]])
    assert not watched.guard.sight.watches


def test_a_watch_that_breaks_holds_the_answer_back_unless_the_policy_is_open(watched, rewrite):
    class Broken:
        def see(self, seen):
            raise ZeroDivisionError("words of a client")

    watched.guard.sight.watcher = Broken()
    assert watched.ask(4, [X[:2]]) == [503]
    rewrite(watched.policy, watched.policy.read_text() + '[fail]\nmode = "open"\n')
    watched.guard.sight.watcher = Broken()
    watched.ask(4, [X[:2]])
    watched.guard.sight.watcher = Broken()
    assert watched.ask(4, [X[:2]]) == [200]
    assert any("the watch failed (ZeroDivisionError in test_sight.py, line " in words for words in watched.said)
    assert not any("words of a client" in words for words in watched.said)


def test_a_start_says_what_a_small_calibration_comes_to(watched, site, rewrite):
    rules = read_policy(watched.policy)
    found = watched.guard.sight.watcher.calibrations
    assert list(few(rules, found, CLIENTS)) == []  # 34 were asked for, and 30 clients drew the line
    strict = replace(rules, signals=replace(rules.signals, false_alarms_per_1000_clients=1.0))
    (words,) = few(strict, found, CLIENTS)
    assert (
        "up to 34 false alarms a day of 1,000 clients, not 1, which is up to 2 a day among the 60 named here" in words
    )
    assert words.endswith("let the first alarm slow a client and the second hold it.")
    own = replace(strict, actions=replace(strict.actions, playbooks="playbooks.toml"))
    assert next(few(own, found, 3)).endswith("up to one in 9.8 days among the 3 named here.")
    watched.guard.sight.look()
    rewrite(watched.policy, (HEAD + KEYS + WATCH).replace("= 34", "= 1"))
    watched.guard.sight.look()
    watching = "sequences of calls are watched with calibration.npz, for digits."
    assert watched.said[-3:] == [f"{watched.policy} was read again", watching, words]
    assert list(begins(read_policy(watched.policy), watched.guard, "here", None))[1:] == [watching, words]
    rewrite(watched.policy, HEAD + KEYS + WATCH.replace("calibration.npz", "gone.npz"))
    watched.guard.sight.look()
    assert watched.said[-1].startswith("what looked at calls before looks on: ")
    rewrite(watched.policy, HEAD + KEYS)
    watched.guard.sight.look()
    assert watched.said[-1].startswith("nothing watches sequences of calls")


def test_a_calibration_that_is_missing_is_said_at_the_start(site):
    with pytest.raises(InputError, match="missing"):
        Guarded(site, HEAD + KEYS + '[signals]\nreference = "missing.npz"\n')


def test_drift_is_logged_and_makes_an_audit_due(tmp_path):
    answers = MODEL.predict_proba(X[900:1500])
    DriftReference.of(X[900:1500], answers, "digits").save(tmp_path / "drift.npz")
    guarded = Guarded(tmp_path, HEAD + KEYS + '[drift]\nreference = "drift.npz"\nwindow = 400\nleast = 400\n')
    for client in range(10):
        guarded.ask(client, [np.clip(1 - X[1500 + 20 * client : 1560 + 20 * client], 0, 1)])
    due = guarded.guard.store.read("audit-due", "digits")
    assert due is not None
    assert due.facts["open"]
    assert any(json.loads(row.text)["what"] == "drift" for row in guarded.guard.store.tail(100))
    assert guarded.ask(0, [X[:1]]) == [200]  # nobody is suspected
    guarded.guard.close()


def test_a_table_of_one_record_asked_all_the_time_breaks_nothing(tmp_path):
    """Monitors ask the same again and again."""
    from safelight.guard.calibrate import calibrate
    from safelight.guard.seen import Seen
    from safelight.guard.watcher import Watcher

    rng = np.random.default_rng(3)
    people = rng.integers(0, 5, size=(400, 6)).astype(float)
    answers = np.tile([0.3, 0.7], (400, 1))
    calls = [
        Seen(f"c{n % 20}", "", "m", 1e9 + n, people[rows], answers[rows])
        for n, rows in enumerate(rng.integers(0, 400, size=(200, 4)))
    ]
    watcher = Watcher(calibrate(calls, 100.0, seed=0))
    for n in range(300):
        watcher.see(Seen("monitor", "", "m", 2e9 + n, people[:1], answers[:1]))


def test_one_big_question_does_not_keep_others_waiting(watched):
    async def both() -> list[str]:
        order = []
        transport = httpx.ASGITransport(watched.guard)

        async def ask(client, x):
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as session:
                headers = {"authorization": f"Bearer key-{client}"}
                await session.post("/invocations", json={"inputs": x.tolist()}, headers=headers)
                order.append(client)

        await asyncio.gather(ask(5, X[rng.integers(1500, 1700, size=3000)]), ask(6, X[1500:1501]))
        return order

    rng = np.random.default_rng(4)
    assert asyncio.run(both()) == [6, 5]
