"""Questions are read whole and counted; answers are hardened; what is neither is not understood."""

import json
import struct
from contextlib import suppress

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.defences.outputs.policy import OutputPolicy
from safelight.guard.noise import Noisy
from safelight.guard.policy import Noise, Protocol
from safelight.guard.protocols import SPEAKS
from safelight.guard.protocols.base import NotUnderstood, Question

OIP, KSERVE, MLFLOW = SPEAKS[Protocol.OIP], SPEAKS[Protocol.KSERVE], SPEAKS[Protocol.MLFLOW]
JSON = {"content-type": "application/json"}
COARSE = OutputPolicy(top_k=2, decimals=1)
LABEL = OutputPolicy(label_only=True)
NOISY = Noisy(Noise(2.0), COARSE, bytes(32))
SCORES = [[0.61, 0.26, 0.13], [0.02, 0.07, 0.91]]


def asked(speaks, content, headers=JSON, names=()) -> Question:
    return speaks.question(json.dumps(content).encode(), headers, names)


def answered(speaks, content, records=2, defence=COARSE, names=()):
    question = Question(records, np.zeros((records, 1)), b"", {})
    return orjson.loads(speaks.answer(question, json.dumps(content).encode(), JSON, defence, names).body)


def tensor(data, shape, datatype="FP64", **more):
    return {"name": "x", "shape": shape, "datatype": datatype, "data": data, **more}


# Paths ---------------------------------------------------------------------------------------------------------------


def test_only_paths_that_ask_or_describe_are_known():
    assert OIP.asked("/v2/models/diag/infer") == OIP.asked("/v2/models/diag/versions/3/infer") == "diag"
    assert KSERVE.asked("/v1/models/diag:predict") == "diag"
    assert MLFLOW.asked("/invocations") == ""
    for path in (
        "/v2/models/diag/infer/",
        "/v2/models//infer",
        "/v2/models/a/b/infer",
        "/v2/models/a%2fb/infer",
        "/v2/models/diag/infer_stream",
        "/v2/repository/models/diag/load",
        "/v2//models/diag/infer",
        "/v2/models/../infer",
        "/v2/models/./infer",
        "/v2/models/d/versions/../infer",
        "/V2/models/diag/infer",
        "/v2/models/diag/infer\n",
        "/invocations",
    ):
        assert OIP.asked(path) is None
        assert not OIP.described(path)
    assert KSERVE.asked("/v1/models/diag:explain") is None
    assert all(OIP.described(path) for path in ("/v2", "/v2/health/ready", "/v2/models/d", "/v2/models/d/versions/1"))
    assert MLFLOW.described("/ping")
    assert KSERVE.described("/v1/models/diag")
    assert not MLFLOW.described("/invocations")


# Questions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]], [[[1], [2], [3]], [[4], [5], [6]]]])
def test_oip_reads_flat_and_nested_data_alike(data):
    question = asked(OIP, {"inputs": [tensor(data, [2, 3])], "id": "7"})
    assert question.records == 2
    assert question.x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert orjson.loads(question.body) == {"inputs": [tensor(data, [2, 3])], "id": "7"}


def test_oip_reads_one_tensor_a_column_with_words():
    city = {"name": "city", "shape": [2, 1], "datatype": "BYTES", "data": ["Oslo", "Rome"]}
    question = asked(OIP, {"inputs": [tensor([30, 40], [2, 1]), city], "parameters": {"content_type": "pd"}})
    assert question.x.tolist() == [[30, "Oslo"], [40, "Rome"]]


def binary(content, *raws):
    head = json.dumps(content).encode()
    return head + b"".join(raws), {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }


def test_oip_reads_tensors_as_bytes_and_writes_them_so():
    pixels = np.arange(6, dtype="<f4").tobytes()
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"Oslo", "São".encode()))
    inputs = [
        {"name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}},
        {"name": "y", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(words)}},
        {"name": "z", "shape": [2], "datatype": "INT8", "data": [1, 2]},
    ]
    body, headers = binary({"inputs": inputs}, pixels, words)
    question = OIP.question(body, headers, ())
    assert question.x.tolist() == [[0, 1, 2, "Oslo", 1], [3, 4, 5, "São", 2]]
    length = int(question.headers["inference-header-content-length"])
    assert orjson.loads(question.body[:length]) == {"inputs": inputs}
    assert question.body[length:] == pixels + words
    scores = np.array(SCORES, dtype="<f4").tobytes()
    output = {"name": "p", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    written = OIP.answer(question, *binary({"outputs": [output]}, scores), COARSE, ())
    length = int(written.headers["inference-header-content-length"])
    left = np.frombuffer(written.body[length:], "<f4").reshape(2, 3)
    assert left == pytest.approx(np.array([[0.6, 0.3, 0], [0, 0.1, 0.9]]))
    for spoilt in (body + b"x", body[:-1]):
        with pytest.raises(NotUnderstood):
            OIP.question(spoilt, headers, ())


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ({"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2, None], [3, "y"]]}}, 3),
        ({"dataframe_split": {"index": [0], "columns": ["a", "b"], "data": [[1, 2]]}}, 1),
        ({"dataframe_records": [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]}, 2),
        ({"instances": [[1, 2], [3, 4], [5, 6]]}, 3),
        ({"instances": [1.0, 2.0]}, 2),
        ({"instances": [{"t": [1, 2], "u": 3}, {"t": [4, 5], "u": 6}]}, 2),
        ({"inputs": [[[1], [2]], [[3], [4]]]}, 2),
        ({"inputs": {"a": [1, 2, 3, 4], "b": ["w", "x", "y", "z"]}}, 4),
    ],
)
def test_mlflow_reads_all_four_formats_and_passes_them_on_unchanged(content, records):
    question = asked(MLFLOW, content)
    assert question.records == len(question.x) == records
    assert orjson.loads(question.body) == content


def test_kserve_counts_instances():
    assert asked(KSERVE, {"instances": [[1, 2], [3, 4]]}).records == 2


def test_a_key_that_stands_twice_goes_on_once():
    """Two readers may choose differently; so the server gets what the guard has read, and nothing else."""
    question = MLFLOW.question(b'{"inputs": [[9]], "inputs": [[1], [2]]}', JSON, ())
    assert question.records == 2
    assert question.body == b'{"inputs":[[1],[2]]}'


@pytest.mark.parametrize(
    ("speaks", "content"),
    [
        (OIP, {"inputs": []}),
        (OIP, {"inputs": [tensor([1, 2], [3])]}),
        (OIP, {"inputs": [tensor([1, 2], [])]}),
        (OIP, {"inputs": [tensor([1, 2], [-1])]}),
        (OIP, {"inputs": [tensor([1, 2], [True, 2])]}),
        (OIP, {"inputs": [tensor([1, 2], [2], "BF16")]}),
        (OIP, {"inputs": [tensor(["1", "2"], [2])]}),
        (OIP, {"inputs": [tensor([1, 2], [2]), {**tensor([1], [1]), "name": "y"}]}),
        (OIP, {"inputs": [tensor([1, 2], [2]), tensor([1, 2], [2])]}),
        (OIP, {"inputs": [tensor([1, 2], [2], parameters={"shared_memory_region": "r"})]}),
        (OIP, {"inputs": [tensor([1], [1])], "parameters": {"logits": True}}),
        (OIP, {"inputs": [tensor([1], [1])], "more": 1}),
        (OIP, {"inputs": [tensor([1], [1])], "outputs": [{"name": "p", "parameters": {"classification": 3}}]}),
        (OIP, {"inputs": [tensor([1], [1])], "outputs": [{}]}),
        (MLFLOW, {"inputs": [[1]], "instances": [[1]]}),
        (MLFLOW, {"inputs": [[1]], "params": {"method": "logits"}}),
        (MLFLOW, {"inputs": [[1], [2, 3]]}),
        (MLFLOW, {"inputs": {"a": [1, 2], "b": [1]}}),
        (MLFLOW, {"inputs": "text"}),
        (MLFLOW, {"instances": []}),
        (MLFLOW, {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}),
        (MLFLOW, {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}),
        (MLFLOW, {"dataframe_split": {"columns": ["a"], "data": [[1]], "index": [1, 2]}}),
        (MLFLOW, {"dataframe_records": [{"a": 1}, {"b": 1}]}),
        (KSERVE, {"instances": [[1]], "signature_name": "logits"}),
        (KSERVE, {"inputs": [[1]]}),
    ],
)
def test_what_could_be_read_in_two_ways_is_not_understood(speaks, content):
    with pytest.raises(NotUnderstood):
        asked(speaks, content)


def test_other_bodies_and_outputs_that_may_not_leave_are_not_understood():
    for body in (b"", b"[1]", b"{", b'{"inputs": [[NaN]]}', b"\xff", b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}"):
        for speaks in (OIP, KSERVE, MLFLOW):
            with pytest.raises(NotUnderstood):
                speaks.question(body, JSON, ())
    with pytest.raises(NotUnderstood, match="no JSON"):
        asked(MLFLOW, {"inputs": [[1]]}, {"content-type": "text/csv"})
    content = {"inputs": [tensor([1], [1])], "outputs": [{"name": "embedding"}]}
    with pytest.raises(NotUnderstood, match="'embedding', which may not leave"):
        asked(OIP, content, names=("predict_proba",))
    assert asked(OIP, content).records == 1
    with pytest.raises(NotUnderstood, match="length of its JSON"):
        asked(OIP, content, {"inference-header-content-length": "-1"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "name", "shape", "datatype", "data", "instances", "columns", "parameters"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
tables = st.fixed_dictionaries({"columns": anything, "data": st.lists(st.lists(anything, max_size=2), max_size=2)})
tensors = st.fixed_dictionaries(
    {"name": st.just("x"), "shape": anything, "datatype": st.just("FP32"), "data": anything}
)


@given(
    st.fixed_dictionaries({"inputs": anything | st.lists(tensors, max_size=2)})
    | st.fixed_dictionaries({"instances": anything})
    | st.fixed_dictionaries({"dataframe_split": tables | anything})
    | st.fixed_dictionaries({"dataframe_records": anything})
    | st.fixed_dictionaries({"predictions": anything})
    | st.fixed_dictionaries({"outputs": anything | st.lists(tensors, max_size=2)})
)
@settings(max_examples=400, deadline=None)
def test_no_body_breaks_a_reader(content):
    """Every body is either read, with one hash a record for noise, or not understood; nothing else happens."""
    body = orjson.dumps(content)
    question = Question(1, np.zeros((1, 1)), b"", {})
    for speaks in (OIP, KSERVE, MLFLOW):
        try:
            read = speaks.question(body, JSON, ())
            assert len(NOISY.keys(read)) == len(read.x) == read.records >= 1
        except NotUnderstood:
            pass
        for defence in (COARSE, LABEL, NOISY):
            with suppress(NotUnderstood):
                speaks.answer(question, body, JSON, defence, ())


# Answers -------------------------------------------------------------------------------------------------------------


def test_scores_are_hardened_in_every_protocol():
    left = [[0.6, 0.3, 0.0], [0.0, 0.1, 0.9]]
    for speaks in (MLFLOW, KSERVE):
        assert answered(speaks, {"predictions": SCORES, "trace": [1.234]}) == {"predictions": left}
        assert answered(speaks, {"predictions": SCORES}, defence=LABEL) == {"predictions": [[1, 0, 0], [0, 0, 1]]}
    output = {"name": "p", "shape": [2, 3], "datatype": "FP32", "parameters": {"content_type": "np", "raw": 0.613}}
    for data in (SCORES, [*SCORES[0], *SCORES[1]]):
        found = answered(OIP, {"model_name": "d", "parameters": {"p": 0.61}, "outputs": [{**output, "data": data}]})
        assert found == {
            "model_name": "d",
            "outputs": [{**output, "data": [*left[0], *left[1]], "parameters": {"content_type": "np"}}],
        }


def test_tables_of_predictions_are_hardened_by_row():
    rows = [{"label": "a", "p0": 0.61, "p1": 0.26, "p2": 0.13}, {"label": "c", "p0": 0.02, "p1": 0.07, "p2": 0.91}]
    left = [{"label": "a", "p0": 0.6, "p1": 0.3, "p2": 0.0}, {"label": "c", "p0": 0.0, "p1": 0.1, "p2": 0.9}]
    assert answered(MLFLOW, {"predictions": rows}) == {"predictions": left}
    named = {"proba": SCORES, "label": [0, 2]}
    assert answered(MLFLOW, {"predictions": named})["predictions"] == {
        "proba": [[0.6, 0.3, 0], [0, 0.1, 0.9]],
        "label": [0, 2],
    }
    assert answered(MLFLOW, {"predictions": named}, names=["label"]) == {"predictions": {"label": [0, 2]}}
    with pytest.raises(NotUnderstood, match="none of the outputs"):
        answered(MLFLOW, {"predictions": named}, names=["other"])


@pytest.mark.parametrize("labels", [[3, 4], ["benign", "malignant"], [True, False], [1.0, 0.0], [[1], [0]]])
def test_labels_pass(labels):
    assert answered(MLFLOW, {"predictions": labels}, defence=LABEL) == {"predictions": labels}


def test_real_predictions_are_rounded_and_never_pass_as_labels():
    assert answered(MLFLOW, {"predictions": [1.234, 5.678]}) == {"predictions": [1.2, 5.7]}
    assert answered(MLFLOW, {"predictions": [[1.234], [5.678]]}) == {"predictions": [[1.2], [5.7]]}
    with pytest.raises(NotUnderstood, match="no label stands for"):
        answered(MLFLOW, {"predictions": [1.234, 5.678]}, defence=LABEL)


@pytest.mark.parametrize(
    "predictions",
    [
        [[0.3, 1.2], [0.1, 2.0]],  # an embedding
        [[-1.2, 3.4, 0.1], [0.0, 0.1, 0.2]],  # logits
        [[[0.5, 0.5]], [[0.5, 0.5]]],
        [[0.61, 0.39]],  # one answer to two questions
        [[0.61, 0.39]] * 3,
        [[0.61, 0.39], [0.5]],
        [0.5, "a"],
        [None, 1.0],
        ["0.61", "0.39"],  # scores in words
        ["0.98:3:cat", "1e-3"],
        ["x" * 999, "y"],
        [["a", "b"], ["c", "d"]],
        [{"a": 0.3, "b": 0.1}, {"a": 0.2, "b": 0.2}],
        [{"a": 0.3, "b": 0.7}, {"a": 0.2}],
        {"a": 0.3},
        {},
        [],
        0.61,
    ],
)
def test_answers_that_are_neither_scores_nor_labels_are_not_understood(predictions):
    with pytest.raises(NotUnderstood):
        answered(MLFLOW, {"predictions": predictions})


def test_other_answers_are_not_understood():
    for content in ({}, {"outputs": []}, {"outputs": [tensor([0.5], [2])]}, {"predictions": [1, 2]}):
        with pytest.raises(NotUnderstood):
            answered(OIP, content)
    with pytest.raises(NotUnderstood, match="no predictions"):
        answered(MLFLOW, {"outputs": 1})
