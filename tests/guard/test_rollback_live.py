"""Two versions of a real model on two real servers: a running guard obeys a rollback within a second."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import joblib
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier

import safelight as sl

CANCER = load_breast_cancer(as_frame=True)
ORDER = np.random.default_rng(0).permutation(len(CANCER.data))
SERVER = """
import sys
import joblib, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
model = joblib.load(sys.argv[1])
async def predict(request):
    x = (await request.json())["inputs"]
    return JSONResponse({"predictions": model.predict_proba(x).tolist()}, headers={"x-version": sys.argv[3]})
async def ping(request):
    return JSONResponse({}, headers={"x-version": sys.argv[3]})
app = Starlette(routes=[Route("/invocations", predict, methods=["POST"]), Route("/ping", ping)])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def up(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Version 1 is a stump, version 2 a whole tree that leaks; both are audited and served."""
    folder = tmp_path_factory.mktemp("site")
    members, others = (
        sl.Records.of(CANCER.data.iloc[rows], CANCER.target.iloc[rows]) for rows in np.split(ORDER, [285])
    )
    text, processes = '[upstream]\nprotocol = "mlflow"\nmodel = "diag@champion"\n', []
    for version, depth in (("1", 1), ("2", None)):
        tree = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(members.x, members.y)
        splits = sl.Splits(members, others, drawn=sl.Split.RANDOM)
        audit = sl.audit(sl.Target.from_sklearn(tree), splits, only=["M001"], out=folder / f"run{version}")
        audit.save(folder / f"audit{version}")
        joblib.dump(DecisionTreeClassifier(max_depth=depth, random_state=0).fit(members.x.to_numpy(), members.y),
                    folder / f"{version}.joblib")  # fmt: skip
        port = free_port()
        argv = [sys.executable, "-c", SERVER, str(folder / f"{version}.joblib"), str(port), version]
        processes.append((subprocess.Popen(argv), f"http://127.0.0.1:{port}/ping"))
        text += f'[[upstream.version]]\nid = "{version}"\nurl = "http://127.0.0.1:{port}"\n'
        text += f'audit = "audit{version}/report.json"\n'
    (folder / "guard.toml").write_text(text)
    try:
        for process, url in processes:
            up(url, process)
        yield folder
    finally:
        for process, _ in processes:
            process.kill()
            process.wait()


def guard(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    argv = [sys.executable, "-m", "safelight", "guard", "run", "--policy", str(folder / "guard.toml")]
    process = subprocess.Popen([*argv, "--port", str(port)], stderr=subprocess.DEVNULL)
    up(f"http://127.0.0.1:{port}/ping", process)
    return process, f"http://127.0.0.1:{port}"


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "safelight", "guard", *words, "--policy", str(folder / "guard.toml")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


BODY = {"inputs": CANCER.data.to_numpy()[:3].tolist()}


def logged(folder: Path) -> list[dict]:
    with sqlite3.connect(folder / "guard.db") as database:
        return [json.loads(text) for (text,) in database.execute("SELECT text FROM log ORDER BY number")]


def test_a_running_guard_obeys_a_rollback_within_a_second_and_after_a_kill(site: Path) -> None:
    done = command(site, "run", "--port", "1")
    assert (done.returncode, "points at no version yet" in done.stderr) == (2, True)
    assert (
        command(site, "promote", "1").stdout == "nothing -> 1 (at least as good: nothing serves that has an audit).\n"
    )
    done = command(site, "promote", "2")
    assert done.returncode == 2
    assert "stays at 1: 2 is worse: M001 (membership, model) leaks" in done.stderr
    done = command(site, "promote", "2", "--force", "--why", "the stump misses too much")
    assert done.returncode == 0
    process, url = guard(site)
    try:
        ask = httpx.Client(base_url=url)
        answer = ask.post("/invocations", json=BODY)
        assert (answer.status_code, answer.headers["x-version"]) == (200, "2")
        assert ask.get("/ping").headers["x-version"] == "2"
        start = time.monotonic()
        mover = subprocess.Popen(
            [sys.executable, "-m", "safelight", "guard", "rollback", "--why", "it leaks", "--policy",
             str(site / "guard.toml")], stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert mover.stdout is not None
        said = mover.stdout.readline()
        moved = time.monotonic()
        assert said == "2 -> 1 (at least as good).\n"
        while ask.post("/invocations", json=BODY).headers["x-version"] != "1":
            assert time.monotonic() < moved + 5
        serves = time.monotonic()
        mover.wait()
        print(f"rollback command to new version serving: {serves - start:.2f} s, {serves - moved:.2f} after the move")
        assert serves - moved < 1.0
        assert serves - start < 5.0
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process, url = guard(site)
        assert httpx.post(f"{url}/invocations", json=BODY).headers["x-version"] == "1"
    finally:
        process.kill()
        process.wait()
    rows = logged(site)
    calls = [row["version"] for row in rows if row["what"] == "call"]
    assert calls == sorted(calls, reverse=True)  # first all of 2, then all of 1
    assert set(calls) == {"1", "2"}
    assert [(row["what"], row["before"], row["to"]) for row in rows if "before" in row] == [
        ("promote", "", "1"),
        ("promote", "1", "2"),
        ("rollback", "2", "1"),
        ("serves", "2", "1"),
    ]
    assert command(site, "verify").stdout.startswith("The log is whole.")
    shown = command(site, "versions").stdout
    assert re.search(r"^diag@champion points at 1$", shown, re.M)
    assert re.search(r"^2 +http\S+ +audit: leak, 1 leak +worse: M001 \(membership, model\) leaks$", shown, re.M)
    assert re.search(r"promote 1 -> 2, against the audits  the stump misses too much$", shown, re.M)


def test_a_version_that_is_added_while_the_guard_runs_can_be_promoted(site: Path) -> None:
    text = (site / "guard.toml").read_text()
    process, url = guard(site)
    try:
        port = re.findall(r"127\.0\.0\.1:(\d+)", text)[0]
        entry = f'[[upstream.version]]\nid = "1b"\nurl = "http://127.0.0.1:{port}/"\naudit = "audit1"\n'
        (site / "guard.toml").write_text(text + entry)
        assert command(site, "promote", "1b").returncode == 0
        until = time.monotonic() + 3
        while (row := logged(site)[-1])["what"] != "serves":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert row["to"] == "1b"
        assert httpx.post(f"{url}/invocations", json=BODY).status_code == 200
        assert logged(site)[-1]["version"] == "1b"
    finally:
        process.kill()
        process.wait()
        (site / "guard.toml").write_text(text)
