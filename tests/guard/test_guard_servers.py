"""The guard as its own process before real servers: MLServer and MLflow's scoring server, attacked and asked."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.attacks.attributes.lomia import Lomia
from safelight.attacks.membership.loss import LossThreshold
from safelight.data.records import Records
from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import BudgetSpent, InputError, TargetFailed
from safelight.evidence import WhichValue, WhoWasIn
from safelight.targets.base import Images, Side, Table, Target
from safelight.targets.http import from_http
from safelight.threat import Access, ThreatModel

pytestmark = pytest.mark.servers


def _servers() -> Any:
    """The module that starts real servers for the targets' tests."""
    path = Path(__file__).parents[1] / "targets" / "test_http_servers.py"
    spec = importlib.util.spec_from_file_location("real_servers", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_servers"] = module
    spec.loader.exec_module(module)
    return module


real = _servers()
SCORES = ThreatModel(Access.SCORES)
PIXELS = Images((1, 8, 8), 0.0, 16.0)
CLASSES = list("0123456789")
DIGITS = load_digits()
IMAGES = DIGITS.images[:, None].astype(np.float32)
COARSE = "[outputs]\ntop_k = 3\ndecimals = 2\n"
AUTH = {"Authorization": "Bearer pass-word"}
KEYED = '[clients]\n[[clients.key]]\nid = "ward-3"\nenv = "WARD_KEY"\n'


@pytest.fixture(scope="module")
def digits() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.001)).fit(DIGITS.data[:900], DIGITS.target[:900])


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    towns = rng.choice(["Oslo", "Rome", "Bonn"], 300)
    return pd.DataFrame({"age": rng.integers(20, 80, 300), "city": towns, "pay": rng.normal(30.0, 5.0, 300)})


@pytest.fixture(scope="module")
def bought(people: pd.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 5, 300)
    return (people.age + 25 * (people.city == "Rome") + noise > 55).to_numpy().astype(int)


@pytest.fixture(scope="module")
def mixed(people: pd.DataFrame, bought: np.ndarray) -> Any:
    columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age", "pay"]))
    return make_pipeline(columns, LogisticRegression()).fit(people, bought)


@pytest.fixture(scope="module")
def oip(digits: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlserver")
    (folder / "digits").mkdir()
    joblib.dump(digits, folder / "digits" / "model.joblib")
    inputs = [{"name": "pixels", "datatype": "FP64", "shape": [-1, 64]}]
    kind = {"name": "digits", "implementation": "mlserver_sklearn.SKLearnModel", "inputs": inputs}
    kind["parameters"] = {"uri": "./model.joblib"}
    (folder / "digits" / "model-settings.json").write_text(json.dumps(kind))
    http, grpc, metrics = real.free_ports(3)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (folder / "settings.json").write_text(
        json.dumps({"host": "127.0.0.1", "parallel_workers": 0, "debug": False, **ports})
    )
    argv = [str(real.PYTHON.parent / "mlserver"), "start", str(folder)]
    with real.running(argv, f"http://127.0.0.1:{http}/v2/health/ready"):
        yield f"http://127.0.0.1:{http}"


@pytest.fixture(scope="module")
def mlflow(digits: Any, mixed: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = {"mixed": (mixed, "predict_proba"), "digits": (digits, "predict_proba")}
    with real.mlflow_server(tmp_path_factory.mktemp("mlflow"), models) as (url, _):
        yield url


@contextmanager
def guard(folder: Path, upstream: str, protocol: str, rest: str = "") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `safelight guard run` before a server."""
    (port,) = real.free_ports(1)
    path = folder / "guard.toml"
    path.write_text(f'[upstream]\nurl = "{upstream}"\nprotocol = "{protocol}"\n{rest}')
    url = f"http://127.0.0.1:{port}"
    ready = url + {"oip": "/v2/health/ready", "mlflow": "/ping"}[protocol]
    argv = [sys.executable, "-m", "safelight", "guard", "run", "--policy", str(path), "--port", str(port)]
    with real.running(argv, ready) as process:
        yield url, process


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "safelight", "guard", *words, "--policy", str(folder / "guard.toml")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def served(url: str, **more: Any) -> Target:
    options = {"classes": CLASSES, "inputs": PIXELS, "output_name": "predict_proba", "retries": 1, **more}
    return from_http(f"{url}/v2/models/digits", inexact=True, **options)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARD_KEY", "pass-word")


def test_the_same_attack_sees_hardened_scores_and_ends_at_the_budget(oip: str, digits: Any, tmp_path: Path) -> None:
    """M001 through the guard gets what it gets from the model behind Safelight's own output policy, then 429."""
    rows = np.r_[0:100, 1000:1100]
    question = WhoWasIn(Records.of(IMAGES[rows], DIGITS.target[rows]))
    inside = OutputPolicy(top_k=3, decimals=2)(Target.from_sklearn(digits, PIXELS))
    with guard(tmp_path, oip, "oip", KEYED + COARSE + "[budget]\nlifetime = 500\n") as (url, _):
        target = served(url, auth_env="WARD_KEY")
        one = LossThreshold().run(target.view(SCORES), question, np.random.default_rng(0))
        other = LossThreshold().run(inside.view(SCORES), question, np.random.default_rng(0))
        raw = LossThreshold().run(served(oip).view(SCORES), question, np.random.default_rng(0))
        assert (one.values == other.values).all()
        assert not np.allclose(one.values, raw.values)
        with pytest.raises(BudgetSpent, match="The next batch holds 200 records and 10 of 10"):
            target.view(replace(SCORES, queries=10)).scores(IMAGES[rows])
        with pytest.raises(
            TargetFailed, match=r"stopped answering after 4\d\d records: status 429, come back in 86400 seconds"
        ):
            target.view(SCORES).scores(IMAGES[:900])
        with pytest.raises(InputError, match=r"status 401.*Send the key of a known client"):
            served(url).view(SCORES).scores(IMAGES[:1])
    done = command(tmp_path, "clients")
    spent = re.search(r"ward-3 +(\d+) +(\d+)\n", done.stdout)
    assert spent is not None
    assert 436 < int(spent[2]) <= 500  # batches of 64 that fitted whole
    done = command(tmp_path, "verify")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "The log is whole.")


@pytest.mark.filterwarnings("ignore:LOMIA found")
def test_an_attack_on_attributes_sees_labels_alone(
    mlflow: str, mixed: Any, people: pd.DataFrame, bought: np.ndarray, tmp_path: Path
) -> None:
    """A003 needs labels only, and gets them: label-only answers do not stop it, and this says so."""
    people, bought = people[:100], bought[:100]
    question = WhichValue(Records.of(people.assign(city=None), bought), "city", ("Bonn", "Oslo", "Rome"))
    inside = Target.from_sklearn(mixed, labels=("0", "1"))
    with guard(tmp_path, f"{mlflow}/mixed", "mlflow", "[outputs]\nlabel_only = true\n") as (url, _):
        target = from_http(url, "mlflow", classes=("0", "1"), inputs=Table(tuple(people.columns)))
        threat = ThreatModel(Access.LABEL)
        one, other = (
            Lomia().run(each.view(threat, Side()), question, np.random.default_rng(0)) for each in (target, inside)
        )
        assert (one.values == other.values).all()
        assert set(target.view(SCORES).scores(people).reshape(-1)) == {0.0, 1.0}


def bodies(people: pd.DataFrame) -> list[dict[str, Any]]:
    some = people[:3]
    split = some.to_dict("split")
    return [
        {"dataframe_split": split},
        {"dataframe_split": {name: split[name] for name in ("columns", "data")}},
        {"dataframe_records": some.to_dict("records")},
    ]


def test_benign_questions_get_the_servers_own_answer(
    mlflow: str, oip: str, people: pd.DataFrame, tmp_path: Path
) -> None:
    """All input formats; without [outputs] every digit is the server's, with it only the rounding differs."""
    with guard(tmp_path, f"{mlflow}/mixed", "mlflow") as (url, _):
        for body in bodies(people):
            direct = httpx.post(f"{mlflow}/mixed/invocations", json=body)
            through = httpx.post(f"{url}/invocations", json=body)
            assert direct.status_code == through.status_code == 200
            assert through.json() == direct.json()
        wrong = {"dataframe_records": [{"age": 3}]}
        direct = httpx.post(f"{mlflow}/mixed/invocations", json=wrong)
        through = httpx.post(f"{url}/invocations", json=wrong)
        assert direct.status_code == through.status_code == 400
        assert through.json()["error_code"] == direct.json()["error_code"]
        assert httpx.get(f"{url}/version").text == httpx.get(f"{mlflow}/mixed/version").text
    pixels = DIGITS.data[:4].tolist()
    with guard(tmp_path, f"{mlflow}/digits", "mlflow", "[outputs]\ndecimals = 2\n") as (url, _):
        for body in ({"inputs": pixels}, {"instances": pixels}):
            direct = httpx.post(f"{mlflow}/digits/invocations", json=body).json()["predictions"]
            assert httpx.post(f"{url}/invocations", json=body).json()["predictions"] == np.round(direct, 2).tolist()
    flat = {"name": "pixels", "shape": [4, 64], "datatype": "FP64", "data": DIGITS.data[:4].reshape(-1).tolist()}
    with guard(tmp_path, oip, "oip") as (url, _):
        for data in (flat["data"], pixels):
            body = {"inputs": [{**flat, "data": data}], "outputs": [{"name": "predict_proba"}, {"name": "predict"}]}
            direct, through = (httpx.post(f"{base}/v2/models/digits/infer", json=body).json() for base in (oip, url))
            assert [each["data"] for each in through["outputs"]] == [each["data"] for each in direct["outputs"]]
            assert through["model_name"] == direct["model_name"]
        assert httpx.get(f"{url}/v2/models/digits").json() == httpx.get(f"{oip}/v2/models/digits").json()
        assert httpx.post(f"{url}/v2/repository/models/digits/unload").status_code == 404
        assert httpx.get(f"{oip}/v2/models/digits/ready").status_code == 200


def test_a_server_that_dies_and_comes_back_and_a_quarantine_from_outside(digits: Any, tmp_path: Path) -> None:
    body = {"inputs": DIGITS.data[:2].tolist()}
    models = {"digits": (digits, "predict_proba")}
    (tmp_path / "model").mkdir()
    with (
        real.mlflow_server(tmp_path / "model", models) as (upstream, server),
        guard(tmp_path, f"{upstream}/digits", "mlflow", KEYED) as (url, _),
    ):
        ask = httpx.Client(base_url=url, headers=AUTH)
        assert ask.post("/invocations", json=body).status_code == 200
        done = command(tmp_path, "quarantine", "ward-3", "--minutes", "5")
        assert done.stdout == "ward-3 is in quarantine for 5 minutes.\n"
        assert ask.post("/invocations", json=body).status_code == 403
        assert "Did you mean 'ward-3'" in command(tmp_path, "release", "ward-4").stderr
        assert command(tmp_path, "release", "ward-3").returncode == 0
        assert ask.post("/invocations", json=body).status_code == 200
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        answer = ask.post("/invocations", json=body)
        assert answer.status_code == 502
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "5"
        assert ask.get("/ping").status_code == 502
        port = upstream.rpartition(":")[2]
        argv = [str(real.PYTHON), str(real.HERE / "serve_mlflow.py"), port]
        argv.append(f"digits={tmp_path / 'model' / 'digits.skops'}:predict_proba")
        with real.running(argv, f"{url}/ping"):
            assert ask.post("/invocations", json=body).status_code == 200


def test_a_guard_that_is_killed_gives_no_budget_back(mlflow: str, tmp_path: Path) -> None:
    body, told = {"inputs": DIGITS.data[:3].tolist()}, 0
    rest = KEYED + "[budget]\nlifetime = 60\n"
    for _ in range(2):
        with guard(tmp_path, f"{mlflow}/digits", "mlflow", rest) as (url, process):
            ask = httpx.Client(base_url=url, headers=AUTH)
            for _ in range(5):
                told += 3 * (ask.post("/invocations", json=body).status_code == 200)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert command(tmp_path, "verify").returncode == 0
    with guard(tmp_path, f"{mlflow}/digits", "mlflow", rest) as (url, _):
        ask = httpx.Client(base_url=url, headers=AUTH)
        while (answer := ask.post("/invocations", json=body)).status_code == 200:
            told += 3
    assert answer.status_code == 429
    assert told == 60


def raw(url: str, request: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back."""
    host, port = url.removeprefix("http://").split(":")
    parts = []
    with socket.create_connection((host, int(port)), timeout=3) as line, suppress(TimeoutError, ConnectionError):
        line.sendall(request)
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_requests_that_two_readers_could_part_differently_get_no_answer_of_the_model(
    mlflow: str, tmp_path: Path
) -> None:
    body = json.dumps({"inputs": DIGITS.data[:1].tolist()}).encode()
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    keyed = head + b"Authorization: Bearer pass-word\r\n"
    hidden = b"POST /invocations HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n" + body
    with guard(tmp_path, f"{mlflow}/digits", "mlflow", KEYED) as (url, _):
        assert b'"predictions"' in raw(url, keyed + length + b"\r\n" + body)
        assert b'"predictions"' in raw(url, keyed + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)
        for request in (
            head + length + b"\r\n" + body,  # no key
            keyed + length + b"Content-Length: 3\r\n\r\n" + body,
            keyed + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
            keyed + b"Transfer-Encoding: xchunked\r\n\r\n" + hidden,
            keyed.replace(b"POST /invocations", b"POST http://127.0.0.1:1/invocations?x=1") + length + b"\r\n" + body,
            keyed.replace(b"/invocations", b"/ping/..%2finvocations") + length + b"\r\n" + body,
            keyed.replace(b"/invocations", b"//invocations") + length + b"\r\n" + body,
            keyed + b"Content-Length: -1\r\n\r\n" + body,
            b"GARBAGE\r\n\r\n",
        ):
            answer = raw(url, request)
            assert b"predictions" not in answer, request
            assert b" 500 " not in answer.partition(b"\r\n")[0]
    with guard(tmp_path, f"{mlflow}/digits", "mlflow", KEYED) as (url, process):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
