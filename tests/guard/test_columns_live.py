"""Through the guard: who shuffles columns from question to question is seen as soon as who does not."""

import asyncio
import hashlib
import json

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from safelight.cli import main
from safelight.guard.drift.reference import DriftReference
from safelight.guard.middleware import GuardMiddleware

FIELDS = tuple(f"question {place}" for place in range(10))
CLIENTS = 40
ENUMERATION = "attribute enumeration"
HEAD = '[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "mlflow"\nmodel = "survey"\n'
KEYS = "".join(
    f'[[clients.key]]\nid = "c{number}"\nsha256 = "{hashlib.sha256(f"key-{number}".encode()).hexdigest()}"\n'
    for number in range(CLIENTS + 1)
)
WATCH = '[signals]\nreference = "calibration.npz"\n[actions]\ndry_run = true\n'


async def predict(request):
    """Read columns by their names, and leave out those it does not know, as MLflow does with a signature."""
    got = json.loads(await request.body())
    if "inputs" in got:
        rows = got["inputs"]
    elif "dataframe_records" in got:
        rows = [[row.get(name, 3.0) for name in FIELDS] for row in got["dataframe_records"]]
    else:
        held = got["dataframe_split"]
        at = [held["columns"].index(name) for name in FIELDS]
        rows = [[row[place] for place in at] for row in held["data"]]
    risk = 1 / (1 + np.exp(-np.array(rows)[:, :4].sum(axis=1) + 12))
    return JSONResponse({"predictions": np.column_stack([risk, 1 - risk]).tolist()})


APP = Starlette(routes=[Route("/invocations", predict, methods=["POST"])])


def people(n, rng):
    """Answers 1 to 5 to ten questions, which one mood sways: any order of them looks like a person's."""
    return np.clip(np.rint(3 + 0.7 * rng.normal(size=(n, 1)) + 0.9 * rng.normal(size=(n, 10))), 1, 5)


def split(x, order, more=()):
    names = [FIELDS[place] for place in order] + list(more)
    return {"dataframe_split": {"columns": names, "data": [[*row, *[7.0] * len(more)] for row in x[:, order].tolist()]}}


def as_records(x, order):
    return {"dataframe_records": [{FIELDS[place]: row[place] for place in order} for row in x.tolist()]}


class Guarded:
    """One guard around the model, asked as one of its clients."""

    def __init__(self, folder, text):
        self.now, self.said, self.folder = 1_800_000_000.0, [], folder
        (folder / "guard.toml").write_text(HEAD + text + KEYS)
        self.guard = GuardMiddleware(APP, folder / "guard.toml", clock=lambda: self.now, say=self.said.append)

    def ask(self, client, bodies):
        """Return of each question its status, and the readings after it."""

        async def all_of_them():
            found = []
            transport = httpx.ASGITransport(self.guard)
            async with httpx.AsyncClient(transport=transport, base_url="http://guard") as session:
                for body in bodies:
                    self.now += 20.0
                    headers = {"authorization": f"Bearer key-{client}"}
                    answer = await session.post("/invocations", json=body, headers=headers)
                    watcher = self.guard.sight.watcher
                    risk = watcher.risk("survey", f"c{client}") if watcher is not None else {}
                    found.append((answer.status_code, risk))
            return found

        return asyncio.run(all_of_them())

    def log(self):
        return "\n".join(row.text for row in self.guard.store.tail(5000))

    def close(self):
        self.guard.close()
        for file in self.folder.glob("guard.db*"):
            file.unlink()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a calibration from recorded traffic, in which each client keeps to the site's order."""
    folder, rng = tmp_path_factory.mktemp("site"), np.random.default_rng(0)
    recording = Guarded(folder, '[signals]\nrecord = "traffic.npy"\n')
    for client in range(CLIENTS):
        bodies = [split(x, list(range(10))) for x in np.array_split(people(36, rng), 9)]
        assert {status for status, _ in recording.ask(client, bodies)} == {200}
    recording.close()
    words = ["guard", "calibrate", "--policy", str(folder / "guard.toml"), "--traffic", str(folder / "traffic.npy")]
    assert main([*words, "--out", str(folder / "calibration.npz")]) == 0
    return folder


@pytest.fixture
def watched(site):
    made = Guarded(site, WATCH)
    yield made
    made.close()


def enumerating(people_asked=12):
    """Each person with all values of one field, one question a record."""
    for one in people(people_asked, np.random.default_rng(5)):
        for value in range(1, 6):
            x = one.copy()
            x[3] = value
            yield x[None]


def shuffles(count):
    return [np.random.default_rng([6, number]).permutation(10).tolist() for number in range(count)]


def test_enumeration_rings_at_the_same_record_when_columns_are_shuffled(watched):
    calls = list(enumerating())
    orders = shuffles(len(calls))
    ways = {
        0: [split(x, list(range(10))) for x in calls],
        1: [split(x, order) for x, order in zip(calls, orders)],
        2: [as_records(x, order) for x, order in zip(calls, orders)],
        3: [{"inputs": x.tolist()} for x in calls],  # without names the place is the meaning
    }
    read = {client: watched.ask(client, bodies) for client, bodies in ways.items()}
    plain = read[0]
    assert max(risk[ENUMERATION] for _, risk in plain if risk) > 1
    for client in (1, 2, 3):
        assert read[client] == plain
    rows = [json.loads(text) for text in watched.log().splitlines()]
    alarms = [row for row in rows if row["what"] == "alarm" and row["client"]]  # those of the cohort name no client
    rang = {
        client: [(row["records"], row["signal"], row["score"]) for row in alarms if row["client"] == f"c{client}"]
        for client in ways
    }
    assert rang[0]
    assert all(each == rang[0] for each in rang.values())


def test_columns_that_the_server_leaves_out_hide_nothing(watched):
    calls = list(enumerating())
    bodies = [split(x, order, [f"salt {number}"]) for number, (x, order) in enumerate(zip(calls, shuffles(len(calls))))]
    plain, salted = watched.ask(0, [split(x, list(range(10))) for x in calls]), watched.ask(1, bodies)
    assert [risk.get(ENUMERATION) for _, risk in salted] == [risk.get(ENUMERATION) for _, risk in plain]
    assert max(salted[7][1].values()) > 1  # and at the first reading it is as far from normal as can be


def test_normal_clients_in_any_order_are_as_calm_as_before(watched):
    x = [people(4, np.random.default_rng(number)) for number in range(9)]
    plain = watched.ask(0, [split(each, list(range(10))) for each in x])
    assert watched.ask(1, [split(each, order) for each, order in zip(x, shuffles(9))]) == plain
    assert max(plain[-1][1].values()) < 1


def test_hostile_names_are_watched_and_stand_in_no_log(watched):
    bodies = []
    for x in np.split(people(4, np.random.default_rng(1)), 4):
        bodies += [
            split(x, list(range(10)), ["PATIENT\u202e Ada Lovelace \U0001f600"]),
            split(x[:, ::-1], list(range(10)), [f"PATIENT {number}" for number in range(10_000)]),
            split(x + 1, list(range(10)), ["PATIENT" * 100_000]),
            {"dataframe_records": [{"PATIENT": 1.0, "question 3": 2.0}]},
            {"dataframe_records": [{"PATIENT": 1.0, "other": 2.0}]},
        ]
    assert {status for status, _ in watched.ask(0, bodies)} == {200}
    assert watched.ask(0, [split(x, list(range(10)), ["question 3"])])[0][0] == 400  # one name for two columns
    assert "PATIENT" not in watched.log() + "".join(watched.said)
    assert '"alarm"' in watched.log()
    assert not watched.guard.sight.watcher._models["survey"].reference.columns._known


def test_a_server_that_reads_by_place_is_watched_by_place(site):
    """Such a server takes no notice of names, so a client could make the guard read other records than the server."""
    text = HEAD.replace("model =", "by_name = false\nmodel =")
    guarded = Guarded(site, WATCH)
    (site / "guard.toml").write_text(text + WATCH + KEYS)
    by_place = GuardMiddleware(APP, site / "guard.toml", clock=lambda: guarded.now, say=guarded.said.append)
    guarded.guard.close()
    guarded.guard = by_place
    calls = list(enumerating())
    named_anyhow = [
        {"dataframe_split": {"columns": [FIELDS[place] for place in order], "data": x.tolist()}}
        for x, order in zip(calls, shuffles(len(calls)))
    ]
    read = guarded.ask(0, named_anyhow)
    plain = guarded.ask(1, [{"inputs": x.tolist()} for x in calls])
    assert [risk.get(ENUMERATION) for _, risk in read] == [risk.get(ENUMERATION) for _, risk in plain]
    guarded.close()


def test_a_calibration_without_names_says_so_once_and_can_be_given_them(site, tmp_path):
    recording = Guarded(tmp_path, '[signals]\nrecord = "traffic.npy"\n')
    rng = np.random.default_rng(2)
    for client in range(20):
        recording.ask(client, [{"inputs": people(8, rng).tolist()} for _ in range(3)])
    recording.close()
    words = ["guard", "calibrate", "--policy", str(tmp_path / "guard.toml"), "--traffic", str(tmp_path / "traffic.npy"),
             "--out", str(tmp_path / "calibration.npz")]  # fmt: skip
    bodies = [split(people(1, rng), order) for order in shuffles(3)]
    assert main(words) == 0
    guarded = Guarded(tmp_path, WATCH)
    guarded.ask(0, bodies)
    assert sum("holds no names of columns, and calls name theirs" in one for one in guarded.said) == 1
    guarded.close()
    assert main([*words, "--columns", ", ".join(FIELDS)]) == 0
    guarded = Guarded(tmp_path, WATCH)
    guarded.ask(0, bodies)
    assert guarded.said == []
    guarded.close()


def test_training_records_in_a_file_may_name_their_columns(site, capsys):
    words = ["guard", "calibrate", "--policy", str(site / "guard.toml"), "--traffic", str(site / "traffic.npy"),
             "--out", str(site / "other.npz"), "--training", str(site / "training.npz")]  # fmt: skip
    x = people(50, np.random.default_rng(3))
    np.savez(site / "training.npz", x=x[:, ::-1], names=FIELDS[::-1])
    assert main(words) == 0
    np.savez(site / "training.npz", x=x, names=FIELDS[:9])
    assert main(words) == 2
    assert "has 9 names for 10 columns" in capsys.readouterr().err


def test_drift_reads_columns_by_the_names_of_its_csv(tmp_path):
    rng = np.random.default_rng(4)
    x = people(600, rng) * (1 + np.arange(10))  # each column on a scale of its own
    rows = "\n".join(",".join(map(str, row)) for row in x.tolist())
    (tmp_path / "normal.csv").write_text(",".join(FIELDS) + "\n" + rows)
    words = [
        "guard",
        "drift-reference",
        "--records",
        str(tmp_path / "normal.csv"),
        "--out",
        str(tmp_path / "drift.npz"),
    ]
    assert main(words) == 0
    assert DriftReference.load(tmp_path / "drift.npz").columns.names == FIELDS
    DriftReference.of(x).save(tmp_path / "nameless.npz")
    for name, drifts in (("drift.npz", False), ("nameless.npz", True)):
        guarded = Guarded(tmp_path, f'[drift]\nreference = "{name}"\nwindow = 400\nleast = 400\n')
        for client in range(10):
            new = people(60, rng) * (1 + np.arange(10))
            guarded.ask(client, [split(new, shuffles(10)[client])])
        assert any("drift: The inputs drifted" in one for one in guarded.said) == drifts
        assert "question" not in guarded.log()
        guarded.close()


def test_a_reference_of_drift_from_before_there_were_names_is_read(tmp_path):
    DriftReference.of(people(300, np.random.default_rng(7)), names=FIELDS).save(tmp_path / "drift.npz")
    with np.load(tmp_path / "drift.npz") as held:
        np.savez(tmp_path / "old.npz", **{name: held[name] for name in held.files if name != "names"})
    assert DriftReference.load(tmp_path / "drift.npz").columns.names == FIELDS
    assert DriftReference.load(tmp_path / "old.npz").columns.names == ()
