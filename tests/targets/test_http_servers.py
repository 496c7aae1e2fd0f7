"""Real servers on loopback: MLServer for the Open Inference Protocol, and MLflow's scoring server.

They live in an environment of their own, which `make servers` makes; SERVERS_PYTHON names another one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops import io

from safelight.data.records import Records, Split, Splits
from safelight.errors import BadAnswer, BudgetSpent, InputError, TargetFailed
from safelight.recipes.sklearn import SklearnRecipe
from safelight.runner import audit
from safelight.targets.base import Images, Table, Target
from safelight.targets.http import from_http
from safelight.threat import Access, ThreatModel

pytestmark = pytest.mark.servers

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("SERVERS_PYTHON", HERE.parents[1] / ".venv-servers/bin/python"))
SCORES = ThreatModel(Access.SCORES)
PIXELS = Images((1, 8, 8), 0.0, 16.0)


@dataclass(frozen=True)
class Fitted:
    """The models that are served, with records to ask about."""

    cancer: Any
    frame: pd.DataFrame
    mixed: Any
    people: pd.DataFrame
    digits: Any
    images: np.ndarray
    price: Any


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    cancer = load_breast_cancer(as_frame=True)
    frame = cancer.data.iloc[:, :5]
    words = cancer.target.map({0: "malignant", 1: "benign"})
    rng = np.random.default_rng(0)
    people = pd.DataFrame(
        {
            "age": rng.integers(20, 80, 300),
            "city": rng.choice(["Oslo", "Rome", "São Paulo"], 300),
            "pay": rng.normal(30.0, 5.0, 300),
        }
    )
    bought = (people.age + 10 * (people.city == "Rome") + rng.normal(0, 9, 300) > 52).astype(int)
    mixed = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age", "pay"])), LogisticRegression()
    )
    digits = load_digits()
    return Fitted(
        make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, words),
        frame,
        mixed.fit(people, bought),
        people,
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(digits.data, digits.target),
        digits.images[:100, None].astype(np.float32),
        LinearRegression().fit(frame.iloc[:, 1:], frame.iloc[:, 0]),
    )


@pytest.fixture(scope="module")
def oip(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLServer with four models, each described as its owner would."""
    folder = tmp_path_factory.mktemp("mlserver")
    pixels = {"inputs": [{"name": "pixels", "datatype": "FP64", "shape": [-1, 64]}]}
    one = {"inputs": [{"name": column, "datatype": "FP64", "shape": [-1, 1]} for column in fitted.frame.columns[1:]]}
    models = {
        "cancer": (fitted.cancer, {}),
        "mixed": (fitted.mixed, {}),
        "digits": (fitted.digits, pixels),
        "price": (fitted.price, one),
    }
    for name, (model, described) in models.items():
        (folder / name).mkdir()
        joblib.dump(model, folder / name / "model.joblib")
        kind = {
            "name": name,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib"},
        }
        (folder / name / "model-settings.json").write_text(json.dumps(kind | described))
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    settings |= {"parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    with running([str(PYTHON.parent / "mlserver"), "start", str(folder)], f"http://127.0.0.1:{http}/v2/health/ready"):
        yield f"http://127.0.0.1:{http}/v2/models"


@pytest.fixture(scope="module")
def mlflow(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's scoring server with the same models: one answers with probabilities, one with labels."""
    folder = tmp_path_factory.mktemp("mlflow")
    models = {
        "cancer": (fitted.cancer, "predict_proba"),
        "cancer_labels": (fitted.cancer, "predict"),
        "mixed": (fitted.mixed, "predict_proba"),
        "digits": (fitted.digits, "predict_log_proba"),
        "price": (fitted.price, "predict"),
    }
    with mlflow_server(folder, models) as (url, _):
        yield url


@contextmanager
def mlflow_server(folder: Path, models: Mapping[str, tuple[Any, str]]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    arguments = []
    for name, (model, function) in models.items():
        io.dump(model, folder / f"{name}.skops")
        arguments.append(f"{name}={folder / name}.skops:{function}")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    argv = [str(PYTHON), str(HERE / "serve_mlflow.py"), str(port), *arguments]
    with running(argv, f"{url}/{next(iter(models))}/ping") as server:
        yield url, server


@contextmanager
def running(argv: list[str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, in a process group of its own, so that nothing is left behind."""
    assert PYTHON.is_file(), f"{PYTHON} is missing: run `make servers`, or name it in SERVERS_PYTHON"
    quiet = {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    silent = subprocess.DEVNULL
    server = subprocess.Popen(argv, env={**os.environ, **quiet}, stdout=silent, stderr=silent, start_new_session=True)
    try:
        wait_for(ready, server)
        yield server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(ready: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(900):
        assert server.poll() is None, f"{server.args} ended with {server.returncode}"
        try:
            if httpx.get(ready, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{server.args} did not become ready in 90 seconds")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def ask(target: Target, x: Any) -> np.ndarray:
    return target.view(SCORES).scores(x)


def columns(frame: pd.DataFrame) -> Table:
    return Table(tuple(frame.columns))


# The Open Inference Protocol -----------------------------------------------------------------------------------------


def test_oip_table_as_one_tensor_gives_the_scores_of_the_model_in_process(oip: str, fitted: Fitted) -> None:
    target = from_http(
        f"{oip}/cancer/infer",
        classes=("benign", "malignant"),
        inputs=columns(fitted.frame),
        input_name="x",
        output_name="predict_proba",
    )
    assert target.model.access == Access.SCORES
    inside = ask(Target.from_sklearn(fitted.cancer), fitted.frame)
    assert np.abs(ask(target, fitted.frame) - inside).max() < 1e-6
    assert (target.model.labels(fitted.frame) == inside.argmax(1)).all()


def test_oip_table_of_words_and_numbers_goes_as_one_input_a_column(oip: str, fitted: Fitted) -> None:
    target = from_http(
        f"{oip}/mixed", classes=("no", "yes"), inputs=columns(fitted.people), output_name="predict_proba", batch=100
    )
    inside = fitted.mixed.predict_proba(fitted.people)
    assert np.abs(ask(target, fitted.people) - inside).max() < 1e-6


def test_oip_images_are_laid_out_as_the_metadata_says(oip: str, fitted: Fitted) -> None:
    target = from_http(f"{oip}/digits", classes=list("0123456789"), inputs=PIXELS, output_name="predict_proba")
    inside = ask(Target.from_sklearn(fitted.digits, PIXELS), fitted.images)
    assert np.abs(ask(target, fitted.images) - inside).max() < 1e-6


def test_oip_labels_are_class_numbers_and_scores_are_refused(oip: str, fitted: Fitted) -> None:
    target = from_http(f"{oip}/digits", classes=list("0123456789"), inputs=PIXELS, output="labels")
    assert target.model.access == Access.LABEL
    assert target.model.labels(fitted.images).tolist() == fitted.digits.predict(fitted.images.reshape(100, -1)).tolist()
    told_wrong = from_http(f"{oip}/digits", classes=list("0123456789"), inputs=PIXELS)
    with pytest.raises(
        BadAnswer, match=r"answered 64 records with labels of shape \(64, 1\), not with probabilities.*set output"
    ):
        ask(told_wrong, fitted.images)


def test_oip_regression_reads_real_numbers_through_the_columns_of_the_metadata(oip: str, fitted: Fitted) -> None:
    frame = fitted.frame.iloc[:, 1:]
    target = from_http(f"{oip}/price", classes=(), inputs=columns(frame))
    assert np.abs(target.view(ThreatModel(Access.LABEL)).labels(frame) - fitted.price.predict(frame)).max() < 1e-6
    with pytest.raises(
        InputError, match=r"The model takes the inputs 'mean texture'.*the table has the columns 'a', 'b'"
    ):
        from_http(f"{oip}/price", classes=(), inputs=Table(("a", "b")))


def test_oip_refusals_of_a_real_server_are_one_sentence(oip: str, fitted: Fitted) -> None:
    with pytest.raises(
        InputError, match=r"/v2/models/cancre refused the question with status 404 \(Model cancre not found"
    ):
        from_http(f"{oip}/cancre", classes=("b", "m"), inputs=columns(fitted.frame))
    target = from_http(
        f"{oip}/cancer", classes=("b", "m"), inputs=columns(fitted.frame), input_name="x", output_name="proba"
    )
    with pytest.raises(InputError, match=r"status 400.*SKLearnModel only supports 'predict'"):
        ask(target, fitted.frame)


# MLflow --------------------------------------------------------------------------------------------------------------


def test_mlflow_table_gives_the_scores_of_the_model_in_process(mlflow: str, fitted: Fitted) -> None:
    for name, model, frame in (("cancer", fitted.cancer, fitted.frame), ("mixed", fitted.mixed, fitted.people)):
        target = from_http(f"{mlflow}/{name}", "mlflow", classes=map(str, model.classes_), inputs=columns(frame))
        assert np.abs(ask(target, frame) - model.predict_proba(frame)).max() < 1e-6


def test_mlflow_images_and_logits(mlflow: str, fitted: Fitted) -> None:
    target = from_http(
        f"{mlflow}/digits/invocations",
        "mlflow",
        classes=list("0123456789"),
        inputs=PIXELS,
        input_shape=(64,),
        output="logits",
    )
    flat = fitted.images.reshape(100, -1)
    assert target.model.access == Access.LOGITS
    assert np.abs(ask(target, fitted.images) - fitted.digits.predict_proba(flat)).max() < 1e-6
    logits = target.view(ThreatModel(Access.LOGITS)).logits(fitted.images)
    assert np.abs(logits - fitted.digits.predict_log_proba(flat)).max() < 1e-6


def test_mlflow_labels_by_name_and_regression(mlflow: str, fitted: Fitted) -> None:
    target = from_http(
        f"{mlflow}/cancer_labels",
        "mlflow",
        classes=("benign", "malignant"),
        inputs=columns(fitted.frame),
        output="labels",
    )
    assert target.model.labels(fitted.frame).tolist() == fitted.cancer.predict_proba(fitted.frame).argmax(1).tolist()
    wrong = from_http(
        f"{mlflow}/cancer_labels",
        "mlflow",
        classes=("good", "malignant"),
        inputs=columns(fitted.frame),
        output="labels",
    )
    with pytest.raises(BadAnswer, match="the class 'benign', but the target is said to have good, malignant"):
        wrong.model.labels(fitted.frame)
    frame = fitted.frame.iloc[:, 1:]
    price = from_http(f"{mlflow}/price", "mlflow", classes=(), inputs=columns(frame))
    assert np.abs(price.model.labels(frame) - fitted.price.predict(frame)).max() < 1e-6


def test_mlflow_column_that_the_model_does_not_know_is_one_sentence(mlflow: str, fitted: Fitted) -> None:
    frame = fitted.frame.rename(columns={"mean radius": "radius"})
    target = from_http(f"{mlflow}/cancer", "mlflow", classes=("benign", "malignant"), inputs=columns(frame))
    with pytest.raises(InputError, match=r"status 400 \(Encountered an unexpected error"):
        ask(target, frame)


def test_a_server_that_is_killed_in_the_middle_ends_the_audit_as_incomplete(fitted: Fitted, tmp_path: Path) -> None:
    with mlflow_server(tmp_path, {"cancer": (fitted.cancer, "predict_proba")}) as (url, server):
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

        target = from_http(
            f"{url}/cancer",
            "mlflow",
            classes=("benign", "malignant"),
            inputs=columns(fitted.frame),
            rate=10,
            retries=3,
            clock=lambda: sum(waited),
            sleep=wait,
        )
        with pytest.raises(
            TargetFailed, match=r"/cancer/invocations stopped answering after 30 records: ConnectError .*tried 4 times"
        ) as failure:
            ask(target, fitted.frame)
    assert failure.value.exit_code == 3
    assert waited[-3:] == [0.5, 1.0, 2.0]


def test_the_same_audit_through_a_server_sees_the_same_door(oip: str, fitted: Fitted) -> None:
    """Budget, rounding and top-k are the view's, so they hold for a server as for a model in process."""
    threat = replace(SCORES, queries=150, decimals=2)
    target = from_http(
        f"{oip}/cancer",
        classes=("benign", "malignant"),
        inputs=columns(fitted.frame),
        input_name="x",
        output_name="predict_proba",
    )
    through, inside = target.view(threat), Target.from_sklearn(fitted.cancer).view(threat)
    assert (through.scores(fitted.frame[:100]) == inside.scores(fitted.frame[:100])).all()
    assert through.spent == inside.spent == 100
    assert target.model.wire.answered == 100
    with pytest.raises(BudgetSpent, match="The next batch holds 100 records and 50 of 150"):
        through.scores(fitted.frame[:100])
    assert target.model.wire.answered == 100


def test_an_audit_through_a_server_ends_like_the_one_in_process(oip: str, fitted: Fitted) -> None:
    labels = (load_breast_cancer().target == 0).astype(int)
    order = np.random.default_rng(0).permutation(len(labels))
    groups = [Records.of(fitted.frame.iloc[rows], labels[rows]) for rows in np.split(order, [300])]
    splits = Splits(*groups, drawn=Split.RANDOM)
    served = from_http(
        f"{oip}/cancer",
        classes=("benign", "malignant"),
        inputs=columns(fitted.frame),
        input_name="x",
        output_name="predict_proba",
    )
    inside = Target.from_sklearn(fitted.cancer, labels=("benign", "malignant"))
    recipe = SklearnRecipe(fitted.cancer)
    reports = [audit(target, splits, recipe=recipe, only=["M001"]) for target in (served, inside)]
    assert reports[0].verdict is reports[1].verdict
    for one, other in zip(reports[0].findings, reports[1].findings):
        assert (one.status, one.reason) == (other.status, other.reason)
        assert one.measured == other.measured
