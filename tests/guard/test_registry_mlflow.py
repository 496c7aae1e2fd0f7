"""Aliases of a real MLflow tracking server: looked at, moved, and moved by somebody else meanwhile."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from safelight.errors import Changed, InputError, StoreFailed
from safelight.guard.policy import read_policy
from safelight.guard.registry.following import Following
from safelight.guard.registry.mlflow import PATH, MlflowRegistry
from safelight.guard.registry.moves import promote, registry_of, roll_back
from safelight.guard.registry.pointing import Move, Pointed
from safelight.guard.store import Store

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("SERVERS_PYTHON", HERE.parents[1] / ".venv-servers/bin/python"))
NAME = "diag@champion"
SERVER = """
import os, sys
uri, artifacts, port = sys.argv[1:]
os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = uri
os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = artifacts
from mlflow.server import app
app.run("127.0.0.1", int(port), threaded=True)
"""
"""MLflow's own server app in one process: `mlflow server` starts four, for 20 CPU seconds."""


def reports() -> dict:
    place = HERE / "test_guard_models.py"
    spec = importlib.util.spec_from_file_location("guard_models_reports", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules["guard_models_reports"] = module
    spec.loader.exec_module(module)
    return module.REPORT


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server with one model of three versions."""
    have = subprocess.run([str(PYTHON), "-c", "import flask, sqlalchemy, alembic, graphene, flask_cors"])
    if have.returncode:
        pytest.skip(
            f"NOT TESTED: {PYTHON} has no tracking server of MLflow; add its packages to servers-constraints.txt."
        )
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{line.getsockname()[1]}"
    argv = [str(PYTHON), "-c", SERVER, f"sqlite:///{folder}/mlflow.db", str(folder), url.rpartition(":")[2]]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < until
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
        for part, facts in (
            ("registered-models/create", {"name": "diag"}),
            *3 * (("model-versions/create", {"name": "diag", "source": "s3://models/diag"}),),
        ):
            httpx.post(f"{url}/api/2.0/mlflow/{part}", json=facts, timeout=60).raise_for_status()
        yield url
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def flipped(url: str, version: str) -> None:
    httpx.post(f"{url}{PATH}", json={"name": "diag", "alias": "champion", "version": version}).raise_for_status()


@pytest.mark.servers
def test_the_alias_of_mlflow_is_followed_and_moved(mlflow, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(reports()))
    entries = "".join(
        f'[[upstream.version]]\nid = "{name}"\nurl = "http://127.0.0.1:{5000 + int(name)}"\naudit = "report.json"\n'
        for name in "123"
    )
    (tmp_path / "guard.toml").write_text(
        f'[upstream]\nprotocol = "mlflow"\nmodel = "{NAME}"\nregistry = "mlflow:{mlflow}"\n{entries}'
    )
    policy = read_policy(tmp_path / "guard.toml")
    store = Store.open(policy.database)
    registry = registry_of(policy, store)
    assert isinstance(registry, MlflowRegistry)
    with pytest.raises(InputError, match="points at no version yet"):
        roll_back(policy, registry, 1.0)
    assert promote(policy, registry, "1", 1.0).before == ""
    assert promote(policy, registry, "3", 2.0).before == "1"
    following = Following(lambda: policy, store, lambda words: None)
    assert following.now().id == "3"
    assert roll_back(policy, registry, 3.0, why="odd").to == "2"
    assert (
        httpx.get(f"{mlflow}{PATH}", params={"name": "diag", "alias": "champion"}).json()["model_version"]["version"]
        == "2"
    )
    flipped(mlflow, "1")  # in MLflow, by somebody else
    start = time.monotonic()
    while following.now().id != "1":
        assert time.monotonic() < start + 3
        time.sleep(0.01)
    took = time.monotonic() - start
    following.close()
    print(f"moved in MLflow to new version serving: {took:.2f} s")
    assert took < 1.0
    found = registry.read(NAME)
    flipped(mlflow, "3")
    with pytest.raises(Changed, match=r"was moved in MLflow just before \(it points at 3, not at 1\)"):
        registry.move(NAME, Move(4.0, "promote", "1", "2"), found)
    found = registry.read(NAME)
    with pytest.raises(InputError, match="cannot point diag@champion at version '9'"):
        registry.move(NAME, Move(5.0, "promote", "3", "9"), found)
    found, wins = registry.read(NAME), []

    def mover() -> None:
        other = Store.open(policy.database)
        try:
            MlflowRegistry(mlflow, other).move(NAME, Move(6.0, "promote", "3", "2"), found)
            wins.append(True)
        except Changed:
            pass
        other.close()

    threads = [threading.Thread(target=mover) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wins == [True]
    with pytest.raises(InputError, match="cannot tell where nobody@champion points: Registered Model with name=nobody"):
        registry.look("nobody@champion")
    logged = [json.loads(row.text) for row in reversed(store.tail(50))]
    assert [(row["what"], row["to"]) for row in logged if row["what"] != "serves"] == [
        ("promote", "1"), ("promote", "3"), ("rollback", "2"), ("promote", "9"), ("promote", "2"),
    ]  # fmt: skip
    assert store.verify()[1] == ""
    store.close()


def test_a_registry_that_does_not_answer_is_one_sentence(tmp_path):
    store = Store.open(tmp_path / "guard.db")
    with pytest.raises(StoreFailed, match=r"MLflow at http://127.0.0.1:1 does not answer \(ConnectError\); start it"):
        MlflowRegistry("http://127.0.0.1:1", store).look(NAME)
    with pytest.raises(StoreFailed, match="does not answer"):
        MlflowRegistry("http://127.0.0.1:1", store).move(NAME, Move(1.0, "promote", "", "1"), Pointed())
    assert store.read("alias", NAME) is None
    store.close()
