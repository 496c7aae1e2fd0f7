"""A served model answers as the model itself, asked through the target that audits ask served models by."""

import socket

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from safelight.drill.server import ModelServer, serving
from safelight.errors import InputError
from safelight.targets.base import Images, Table, Target
from safelight.targets.fake import LeakyRecords
from safelight.targets.http import from_http
from safelight.threat import Access

DIGITS = load_digits()
PIXELS = Images((1, 8, 8), 0.0, 16.0)
PICTURES = DIGITS.images[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    towns = rng.choice(["Oslo", "Rome", "Bonn"], 200)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, 200),
            "city": towns,
            "pay": rng.normal(30.0, 5.0, 200),
            "new": rng.random(200) < 0.5,
        }
    )


def test_pictures_are_answered_as_by_the_model_itself():
    model = Target.from_sklearn(LogisticRegression(C=1e-4, max_iter=500).fit(DIGITS.data, DIGITS.target), PIXELS).model
    app = ModelServer(model, name="digits@best")
    with serving(app) as url:
        asked = from_http(url + app.path, classes=model.classes, inputs=PIXELS).model
        assert np.allclose(asked.scores(PICTURES[:70]), model.scores(PICTURES[:70]), atol=1e-12)
        assert httpx.get(f"{url}/v2/health/live").json()["live"]


def test_a_table_keeps_its_words_whole_numbers_and_truths(people):
    columns = make_column_transformer((OneHotEncoder(), ["city", "new"]), (StandardScaler(), ["age", "pay"]))
    fitted = make_pipeline(columns, LogisticRegression()).fit(people, people.pay > 30)
    model = Target.from_sklearn(fitted, people).model
    app = ModelServer(model, people)
    with serving(app) as url:
        asked = from_http(url + app.path, classes=model.classes, inputs=Table(tuple(people.columns))).model
        assert np.allclose(asked.scores(people), model.scores(people), atol=1e-12)
    seen = app._records({name: people[name].to_numpy()[:, None] for name in people})
    assert seen.dtypes.equals(people.dtypes)


def test_a_regressor_gives_numbers_and_a_model_of_labels_gives_labels(people):
    numbers = people[["age", "pay"]]
    fitted = LinearRegression().fit(numbers, people.pay * 2 + people.age)
    model = Target.from_sklearn(fitted, numbers).model
    app = ModelServer(model, numbers)
    with serving(app) as url:
        asked = from_http(url + app.path, classes=(), inputs=Table(("age", "pay"))).model
        assert np.allclose(asked.labels(numbers), model.labels(numbers))
    bare = LeakyRecords({}, np.array([0.3, 0.7]), PIXELS, ("a", "b"), access=Access.LABEL)
    app = ModelServer(bare)
    with serving(app) as url:
        asked = from_http(url + app.path, classes=("a", "b"), inputs=PIXELS, output="labels").model
        assert asked.labels(PICTURES[:3]).tolist() == [1, 1, 1]


def test_what_cannot_be_read_is_refused_in_words(people):
    app = ModelServer(LeakyRecords({}, np.array([0.3, 0.7]), PIXELS, ("a", "b")))
    with serving(app) as url:
        refused = httpx.post(f"{url}/v2/models/model/infer", content=b"{")
        assert (refused.status_code, refused.json()["error"]) == (
            400, "The question cannot be read (JSONDecodeError).",
        )  # fmt: skip
        short = {"inputs": [{"name": "input", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0.0] * 63}]}
        assert httpx.post(f"{url}/v2/models/model/infer", json=short).status_code == 400
        assert httpx.get(f"{url}/v2/models/other").status_code == 404
        assert httpx.post(f"{url}/v2/models/other/infer", json=short).status_code == 404
    with pytest.raises(InputError, match="A table model is served with a table that shows what its columns hold"):
        ModelServer(LeakyRecords({}, np.array([0.3, 0.7]), Table(("age",)), ("a", "b")))


def test_a_taken_port_is_said():
    app = ModelServer(LeakyRecords({}, np.array([0.3, 0.7]), PIXELS, ("a", "b")))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InputError, match=f"Nothing can listen at 127.0.0.1, port {port}; name a free one"),
            serving(app, port=port),
        ):
            pass
