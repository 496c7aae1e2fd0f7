"""Which version an alias points at: audits side by side, moves that exactly one of many wins, a log that has each."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.policy import read_policy
from safelight.guard.registry.audits import Audit, Claim, compare, read_audit
from safelight.guard.registry.embedded import Embedded
from safelight.guard.registry.following import Following
from safelight.guard.registry.mlflow import MlflowRegistry
from safelight.guard.registry.moves import Stands, promote, roll_back, shelf
from safelight.guard.registry.pointing import KEPT, Move
from safelight.guard.store import Store
from safelight.verdict.finding import Status, Verdict

LEAK, NONE, UNCLEAR = Status.LEAK, Status.NONE, Status.UNCLEAR
NAME = "diag@champion"


def audit(settings=None, assumed=None, **claims) -> Audit:
    """An audit of attacks by code: a status, or a status and the ends of its hit rate."""
    made = {}
    for code, said in claims.items():
        status, *ends = said if isinstance(said, tuple) else (said,)
        strengths = {"success": tuple(ends)} if ends else {}
        made[(code, "membership", "model", "record", "none", 0)] = Claim(status, strengths)
    verdict = Verdict.LEAK if any(each.status is LEAK for each in made.values()) else Verdict.NONE
    return Audit(verdict, "", assumed or {"kind": "table"}, settings or {code: {} for code in claims}, made, "00")


def few(references: int):
    return audit({"M002": {"references": references, "mixing": 0.3}}, M002=NONE)


@pytest.mark.parametrize(
    ("one", "other", "worse", "apart"),
    [
        (audit(M001=NONE), audit(M001=NONE), "", ""),
        (audit(M001=NONE), audit(M001=LEAK), "", ""),
        (audit(M001=LEAK), audit(M001=NONE), "M001 (membership, model) leaks", ""),
        (audit(M001=LEAK), audit(M001=UNCLEAR), "M001 (membership, model) leaks", ""),
        (audit(M001=UNCLEAR), audit(M001=LEAK), "", ""),
        (audit(M001=UNCLEAR), audit(M001=NONE), "", "M001 (membership, model) is unclear, and was not"),
        (audit(M001=(LEAK, 0.7, 0.8)), audit(M001=(LEAK, 0.6, 0.75)), "", ""),
        (
            audit(M001=(LEAK, 0.76, 0.8)),
            audit(M001=(LEAK, 0.6, 0.75)),
            "M001 (membership, model) leaks more (success from 0.76 on, before up to 0.75)",
            "",
        ),
        (audit(M001=(LEAK, 0.5, 0.6)), audit(M001=(LEAK, 0.7, 0.8)), "", ""),
        (audit(M001=LEAK), audit(M001=LEAK), "", "M001 (membership, model) leaks in both, with no interval to compare"),
        (audit(M001=NONE), audit(M001=NONE, M002=NONE), "", "M002 (membership, model) was not run"),
        (audit(M001=NONE, M002=NONE), audit(M001=NONE), "", ""),
        (audit(M001=NONE, M002=LEAK), audit(M001=NONE), "", "M002 (membership, model) leaks, and was not run before"),
        (audit({"M001": {"a": 1}}, M001=NONE), audit({"M001": {"a": 2}}, M001=NONE), "", "the settings of M001 differ"),
        (few(4), few(8), "", ""),  # an audit chooses how many it trains
        (few(16), few(8), "", ""),
        (few(2), few(8), "", "the settings of M002 differ"),
        (few(2), few(1), "", ""),
        (
            audit(None, {"the attacker's access": "label"}, M001=NONE),
            audit(None, {"the attacker's access": "scores"}, M001=NONE),
            "",
            "they differ in the attacker's access",
        ),
    ],
)
def test_audits_are_compared_claim_by_claim(one, other, worse, apart):
    found = compare(one, other)
    assert (", ".join(found.worse), ", ".join(found.apart)) == (worse, apart)


def report(folder: Path, name: str, status: str = "no leak found", **more) -> None:
    threat = {"access": "scores", "observes": "queries", "queries": None, "top_k": None, "decimals": None, "knows": []}
    finding = {"code": "M001", "claim": "membership", "about": "model", "unit": "record", "adjacency": "none"}
    number = {"name": "auc", "value": 0.6, "low": 0.55, "high": 0.65, "floor": None, "control": 0.5}
    document = {
        "schema_version": "1.3",
        "verdict": status,
        "findings": [{**finding, "status": status, "measured": [number]}],
        "threat": threat,
        "policy": {"fail_on": "leak", "alpha": 0.01, "tolerate": 0.0, "look_for": 0.75},
        "settings": {"M001": {}},
        "kind": "table",
        "incomplete": "",
        "broken": "",
        **more,
    }
    (folder / name).write_text(json.dumps(document))


HEAD = '[upstream]\nprotocol = "mlflow"\nmodel = "diag@champion"\n'


def versions(*ids: str, without: tuple[str, ...] = ()) -> str:
    return "".join(
        f'[[upstream.version]]\nid = "{name}"\nurl = "http://127.0.0.1:{5000 + place}"\n'
        + ("" if name in without else f'audit = "{name}.json"\n')
        for place, name in enumerate(ids)
    )


@pytest.fixture
def site(tmp_path):
    """Four versions: good, leaky, good, and one without an audit."""
    (tmp_path / "guard.toml").write_text(HEAD + versions("1", "2", "3", "4", without=("4",)))
    report(tmp_path, "1.json")
    report(tmp_path, "2.json", "leak")
    report(tmp_path, "3.json")
    store = Store.open(tmp_path / "guard.db")
    yield read_policy(tmp_path / "guard.toml"), Embedded(store), store
    store.close()


def rows(store: Store) -> list[dict]:
    return [json.loads(row.text) for row in reversed(store.tail(10_000))]


def test_a_promotion_and_a_rollback_leave_history_and_one_row_each(site):
    policy, registry, store = site
    promote(policy, registry, "1", 1.0, why="first")
    promote(policy, registry, "3", 2.0)
    with pytest.raises(InputError, match=r"stays at 3: 2 is worse: M001 \(membership, model\) leaks; use --force"):
        promote(policy, registry, "2", 3.0)
    move = roll_back(policy, registry, 4.0, why="odd answers")
    assert (move.before, move.to, move.forced) == ("3", "1", False)  # 2 leaks, and is passed over
    found = registry.read(NAME)
    assert [(each.what, each.before, each.to) for each in found.moves] == [
        ("promote", "", "1"),
        ("promote", "1", "3"),
        ("rollback", "3", "1"),
    ]
    logged = rows(store)
    assert [(row["what"], row["before"], row["to"]) for row in logged] == [
        (each.what, each.before, each.to) for each in found.moves
    ]
    assert logged[2]["why"] == "odd answers"
    assert logged[2]["audit"] == read_audit(policy.folder / "1.json").sha256
    assert store.verify()[1] == ""


@pytest.mark.parametrize(
    ("at", "act", "said"),
    [
        ("", lambda p, r: roll_back(p, r, 9.0), "points at no version yet; set it with: safelight guard promote"),
        ("1", lambda p, r: promote(p, r, "1", 9.0), "points at version 1 already"),
        ("1", lambda p, r: promote(p, r, "9", 9.0), "There is no version '9': .* lists 1, 2, 3, 4"),
        ("1", lambda p, r: promote(p, r, "4", 9.0), r"4 is without an audit: \[\[upstream.version\]\] names none"),
        ("1", lambda p, r: promote(p, r, "2", 9.0, force=True), "say why with --why TEXT"),
        ("1", lambda p, r: roll_back(p, r, 9.0), r"No earlier version has an audit at least as good as that of 1"),
        ("3", lambda p, r: roll_back(p, r, 9.0, to="2"), "2 is worse"),
        ("3", lambda p, r: roll_back(p, r, 9.0, force=True, why="x"), "--force needs a version"),
        ("3", lambda p, r: promote(p, r, "1", 9.0, alias="a b"), "--alias is 'a b'; give a plain word"),
    ],
)
def test_what_is_refused_is_one_sentence_and_changes_nothing(site, at, act, said):
    policy, registry, store = site
    if at:
        promote(policy, registry, at, 1.0)
    before = store.verify()[0]
    with pytest.raises(InputError, match=said):
        act(policy, registry)
    assert registry.look(NAME) == at
    assert store.verify()[0] == before


def test_against_the_audits_only_with_force_and_a_reason_and_the_log_says_so(site):
    policy, registry, store = site
    promote(policy, registry, "3", 1.0)
    move = roll_back(policy, registry, 2.0, to="2", why="3 answers nonsense", force=True)
    assert move.forced
    row = rows(store)[-1]
    assert (row["forced"], row["why"], row["to"]) == (True, "3 answers nonsense", "2")
    assert row["stands"].startswith("worse: M001")
    promote(policy, registry, "4", 3.0, why="in a hurry", force=True)
    assert not promote(policy, registry, "1", 4.0).forced  # from a version without an audit to one with
    assert promote(policy, registry, "2", 5.0, alias="challenger").before == ""  # another alias has its own history
    assert registry.look(NAME) == "1"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"verdict": "audit broken", "broken": "the null rung leaks"}, r"the audit is broken \(the null rung leaks\)"),
        ({"incomplete": "the model died"}, r"the audit is incomplete \(the model died\)"),
        ({"findings": []}, "the audit ran nothing"),
        ({"schema_version": "2.0"}, "has schema_version 2.0, not 1.x"),
        ({"verdict": "fine"}, "is no report"),
        ({"threat": None}, "is no report"),
    ],
)
def test_a_report_that_does_not_count_is_none(site, more, why):
    policy, registry, _ = site
    promote(policy, registry, "1", 1.0)
    report(policy.folder, "3.json", **more)
    assert shelf(policy, registry).of("3").stands is Stands.MISSING
    with pytest.raises(InputError, match=why):
        promote(policy, registry, "3", 2.0)
    (policy.folder / "3.json").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        promote(policy, registry, "3", 2.0)
    (policy.folder / "3.json").write_text("{")
    with pytest.raises(InputError, match="is no report"):
        promote(policy, registry, "3", 2.0)


def test_other_attackers_and_levels_cannot_be_compared(site):
    policy, registry, _ = site
    promote(policy, registry, "1", 1.0)
    report(policy.folder, "3.json", policy={"alpha": 0.05, "tolerate": 0.0, "look_for": 0.75})
    with pytest.raises(InputError, match="3 is not comparable: they differ in the policy's alpha"):
        promote(policy, registry, "3", 2.0)


def test_of_moves_at_once_exactly_one_wins(site):
    policy, registry, store = site
    promote(policy, registry, "1", 1.0)
    found = registry.read(NAME)
    registry.move(NAME, Move(2.0, "promote", "1", "2"), found)
    with pytest.raises(Changed, match="was changed meanwhile"):
        registry.move(NAME, Move(2.0, "promote", "1", "3"), found)
    assert registry.look(NAME) == "2"
    found = registry.read(NAME)
    others = [Store.open(store.path) for _ in range(8)]

    def moved(each: Store) -> bool:
        try:
            Embedded(each).move(NAME, Move(3.0, "promote", "2", "3"), found)
        except Changed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(moved, others)) == 1
    for each in others:
        each.close()
    assert [row["to"] for row in rows(store)] == ["1", "2", "3"]


def test_an_alias_remembers_a_hundred_moves_and_the_log_all(site):
    _, registry, store = site
    for number in range(KEPT + 5):
        registry.move(NAME, Move(float(number), "promote", "", str(number)), registry.read(NAME))
    assert [int(each.to) for each in registry.read(NAME).moves] == list(range(5, KEPT + 5))
    assert len(rows(store)) == KEPT + 5


MOVER = """
import sys, time
from pathlib import Path
from safelight.guard.policy import read_policy
from safelight.guard.registry.embedded import Embedded
from safelight.guard.registry.moves import promote
from safelight.guard.store import Store
policy = read_policy(Path(sys.argv[1]))
registry = Embedded(Store.open(policy.database))
print("ready", flush=True)
while True:
    to = "3" if registry.look("diag@champion") == "1" else "1"
    print(promote(policy, registry, to, time.time()).to, flush=True)
"""


def test_a_command_that_is_killed_leaves_a_whole_move_or_none(site):
    policy, registry, store = site
    promote(policy, registry, "1", 1.0)
    for _ in range(3):
        argv = [sys.executable, "-c", MOVER, str(policy.folder / "guard.toml")]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        told = process.stdout.read().split()
        process.wait()
        assert told
        logged = [row["to"] for row in rows(store)]
        assert registry.look(NAME) == logged[-1]
        assert logged[: -len(told)] or logged[-len(told) :] == told
        assert told == logged[-len(told) :] or told == logged[-len(told) - 1 : -1]
        assert store.verify()[1] == ""


def test_a_guard_follows_the_alias_and_the_log_says_what_serves(site):
    policy, registry, store = site
    said: list[str] = []
    with pytest.raises(InputError, match="points at no version yet"):
        Following(lambda: policy, store, said.append)
    promote(policy, registry, "1", 1.0)
    following = Following(lambda: policy, store, said.append)
    assert following.now().url == "http://127.0.0.1:5000"
    promote(policy, registry, "3", 2.0)
    start = time.monotonic()
    while following.now().id != "3" and time.monotonic() < start + 3:
        time.sleep(0.01)
    assert time.monotonic() - start < 1.0
    following.close()
    time.sleep(0.3)
    row = rows(store)[-1]
    assert (row["what"], row["before"], row["to"], row["model"]) == ("serves", "1", "3", NAME)
    assert said == ["version 3 serves now, after 1"]


def test_a_registry_that_cannot_be_read_leaves_the_old_version_and_is_said_once(site):
    policy, registry, store = site
    promote(policy, registry, "1", 1.0)
    said: list[str] = []
    following = Following(lambda: policy, store, said.append)
    following.close()

    def broken(name: str) -> str:
        raise StoreFailed("The registry is away.")

    following._registry = type("Broken", (), {"look": staticmethod(broken)})()
    following.look()
    following.look()
    assert following.now().id == "1"
    assert said == ["version 1 serves on: The registry is away."]
    following._registry = registry
    promote(policy, registry, "3", 2.0)
    fewer = replace(policy.upstream, version=policy.upstream.version[:2])
    following.policy = lambda: replace(policy, upstream=fewer)
    following.look()
    assert "diag@champion points at version '3', and [[upstream.version]] lists 1, 2; add it." in said[-1]
    assert following.now().id == "1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('model = "diag"\n' + versions("1"), "has versions, and model is 'diag'; write NAME@ALIAS"),
        ('model = "d@c"\n' + versions("1", "1"), "Two versions have the id '1'"),
        ('model = "d@c"\n[[upstream.version]]\nid = "1"\nurl = "ftp://x"\n', "The version '1', url is 'ftp://x'"),
        ('model = "d@c"\n[[upstream.version]]\nid = "1"\n', "needs the key 'url'"),
        ('model = "d@c"\n[[upstream.version]]\nid = "1"\nurl = "http://x"\naudits = "a"\n', "Did you mean 'audit'"),
        ('version = "1"\n', "version is no list of tables"),
        ('url = "http://x"\nregistry = "mlflow:http://x"\n', "names a registry and no versions"),
        ('registry = "redis"\n' + versions("1"), "registry is 'redis'; it must be embedded or mlflow:http://host:port"),
        ('registry = "mlflow:sqlite:///x"\n' + versions("1"), "registry, after mlflow:, is 'sqlite:///x'"),
    ],
)
def test_a_policy_with_wrong_versions_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "guard.toml"
    path.write_text(f'[upstream]\nprotocol = "mlflow"\n{text}')
    with pytest.raises(InputError) as caught:
        read_policy(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("said", [b"{}", b"[]", b"<html>", b'{"model_version": "2"}', b'{"model_version": {}}'])
def test_what_is_no_registry_is_said_and_does_not_end_the_following(tmp_path, said):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store = Store.open(tmp_path / "guard.db")
    try:
        with pytest.raises(StoreFailed, match="is no MLflow that names a version"):
            MlflowRegistry(f"http://127.0.0.1:{server.server_port}", store).look(NAME)
    finally:
        store.close()
        server.shutdown()
        server.server_close()
