"""How questions are written and answers are read, without any network."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from safelight.errors import BadAnswer, InputError
from safelight.targets.base import Images, Table, Target
from safelight.targets.foreign import Meaning, Output
from safelight.targets.http import from_http
from safelight.targets.layout import Slot, arrange, lay_out
from safelight.threat import Access

URL = "http://127.0.0.1:9/v2/models/m"
COLOUR = Images((3, 2, 4))
PICTURES = np.arange(48, dtype=np.float32).reshape(2, 3, 2, 4)
FRAME = pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "word": ["ä", "b"], "yes": [True, False]})


def oip(inputs: Any, metadata: Any, answer: Any = None, **settings: Any) -> tuple[Target, list[Any]]:
    """A target on a server that describes itself with `metadata`, and the questions that it got."""
    asked: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            assert request.url.path == "/v2/models/m"
            return httpx.Response(200, json=metadata)
        assert request.url.path == "/v2/models/m/infer"
        asked.append(json.loads(request.content))
        return httpx.Response(200, json=answer)

    given = {"classes": ("a", "b"), "inputs": inputs, "transport": httpx.MockTransport(reply)}
    return from_http(settings.pop("url", URL), **{**given, **settings}), asked


def outputs(*entries: tuple[str, str, list[int], Any]) -> dict[str, Any]:
    keys = ("name", "datatype", "shape", "data")
    return {"model_name": "m", "outputs": [dict(zip(keys, entry, strict=True)) for entry in entries]}


HALF = outputs(("p", "FP32", [2, 2], [0.5, 0.5, 0.25, 0.75]))


def test_a_table_goes_as_one_input_a_column_with_the_types_of_its_values() -> None:
    target, asked = oip(Table(tuple(FRAME.columns)), {"inputs": []}, HALF)
    assert target.model.scores(FRAME).tolist() == [[0.5, 0.5], [0.25, 0.75]]
    text = {"content_type": "str"}
    assert asked[0]["inputs"] == [
        {"name": "n", "shape": [2, 1], "datatype": "INT64", "data": [1, 2]},
        {"name": "x", "shape": [2, 1], "datatype": "FP64", "data": [0.5, 1.5]},
        {"name": "word", "shape": [2, 1], "datatype": "BYTES", "parameters": text, "data": ["ä", "b"]},
        {"name": "yes", "shape": [2, 1], "datatype": "BOOL", "data": [True, False]},
    ]


def test_a_table_follows_the_types_of_the_metadata_or_is_refused() -> None:
    described = {"inputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in ("x", "n")]}
    target, asked = oip(Table(("n", "x")), described, HALF)
    target.model.scores(FRAME)
    assert asked[0]["inputs"][1] == {"name": "n", "shape": [2], "datatype": "FP32", "data": [1.0, 2.0]}
    target, asked = oip(Table(("x",)), {"inputs": [{"name": "x", "datatype": "INT64", "shape": [-1, 1]}]}, HALF)
    with pytest.raises(InputError, match="The column 'x' should hold int64 values for this model"):
        target.model.scores(FRAME)
    with pytest.raises(InputError, match="takes 3 columns in its input 'x', but the table has 2"):
        oip(Table(("x", "n")), {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]})


def test_one_tensor_of_all_columns_cannot_hold_numbers_and_text() -> None:
    target, _ = oip(Table(("x", "word")), {}, HALF, input_name="t")
    with pytest.raises(InputError, match=r"'t' holds numbers and text.*leave input_name out"):
        target.model.scores(FRAME)
    target, asked = oip(Table(("x", "n")), {}, HALF, input_name="t")
    target.model.scores(FRAME)
    assert asked[0]["inputs"] == [{"name": "t", "shape": [2, 2], "datatype": "FP64", "data": [0.5, 1.0, 1.5, 2.0]}]


def test_missing_values_are_refused_by_name() -> None:
    target, asked = oip(Table(("x", "word")), {}, HALF)
    with pytest.raises(InputError, match="The column 'word' holds missing values"):
        target.model.scores(FRAME.assign(word=["a", None]))
    assert asked == []


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ([-1, 3, 2, 4], [0, 1, 2, 3]),
        ([-1, -1, -1, -1], [0, 1, 2, 3]),
        ([-1, 24], [0, 1, 2, 3]),
        ([-1, 2, 4, 3], [0, 8, 16, 1]),  # channel last: red, green and blue of the first pixel, then the next
    ],
)
def test_images_are_laid_out_as_the_metadata_says(shape: list[int], first: list[float]) -> None:
    target, asked = oip(COLOUR, {"inputs": [{"name": "i", "datatype": "FP32", "shape": shape}]}, HALF)
    target.model.scores(PICTURES)
    (sent,) = asked[0]["inputs"]
    assert (sent["name"], sent["datatype"], sent["data"][:4]) == ("i", "FP32", first)
    assert np.prod(sent["shape"]) == 48
    assert len(sent["shape"]) == len(shape)


def test_images_that_cannot_fit_are_refused_before_any_question() -> None:
    with pytest.raises(InputError, match=r"of shape \(any, 5, 5\), but the images have shape \(3, 2, 4\)"):
        oip(COLOUR, {"inputs": [{"name": "i", "datatype": "FP32", "shape": [-1, -1, 5, 5]}]})
    with pytest.raises(InputError, match=r"takes 2 inputs \('i', 'j'\), but an image fills one; set input_name"):
        oip(COLOUR, {"inputs": [{"name": n, "datatype": "FP32", "shape": [-1, 24]} for n in "ij"]})


def test_grey_images_may_lose_their_channel_and_bytes_are_rounded() -> None:
    grey = np.array([[[[0.4, 254.6]]]], dtype=np.float32)
    assert arrange(grey, (1, 2)).shape == (1, 1, 2)
    sent = lay_out(grey, Images((1, 1, 2), 0, 255), [Slot("i", np.uint8, (1, 2))])
    assert sent["i"].tolist() == [[[0, 255]]]


def test_a_server_with_a_fixed_batch_gets_no_larger_one() -> None:
    target, _ = oip(COLOUR, {"inputs": [{"name": "i", "datatype": "FP32", "shape": [1, 3, 2, 4]}]}, HALF)
    assert target.model.batch == 1


def test_the_address_may_name_a_version_and_keep_its_query() -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://127.0.0.1:9/v2/models/m/versions/2/infer?key=1"
        return httpx.Response(200, json=HALF)

    target = from_http(
        "http://127.0.0.1:9/v2/models/m/versions/2/infer?key=1",
        classes=("a", "b"),
        inputs=COLOUR,
        input_name="i",
        transport=httpx.MockTransport(reply),
    )
    assert target.model.scores(PICTURES).shape == (2, 2)
    assert target.name == "127.0.0.1:9/v2/models/m/versions/2/infer"


@pytest.mark.parametrize(
    "answer",
    [
        outputs(("p", "FP32", [2, 2], [[0.5, 0.5], [0.25, 0.75]])),
        outputs(("label", "INT64", [2, 1], [0, 1]), ("p", "FP64", [2, 2], [0.5, 0.5, 0.25, 0.75])),
        outputs(("hidden", "FP32", [2, 3], [0.0] * 6), ("p", "FP64", [2, 2], [0.5, 0.5, 0.25, 0.75])),
        outputs(("p", "FP32", [2, 1], [0.5, 0.75])),
    ],
)
def test_the_output_with_the_probabilities_is_found(answer: Any) -> None:
    target, _ = oip(COLOUR, {}, answer, input_name="i")
    assert np.allclose(target.model.scores(PICTURES), [[0.5, 0.5], [0.25, 0.75]])


def test_an_output_is_asked_for_by_name_and_a_doubtful_one_is_not_guessed() -> None:
    two = outputs(("p", "FP32", [2, 2], [0.5] * 4), ("q", "FP32", [2, 2], [0.25, 0.75] * 2))
    target, asked = oip(COLOUR, {}, two, input_name="i", output_name="q")
    assert target.model.scores(PICTURES)[0].tolist() == [0.25, 0.75]
    assert asked[0]["outputs"] == [{"name": "q"}]
    target, asked = oip(COLOUR, {}, two, input_name="i")
    with pytest.raises(InputError, match="gives 'p', 'q'; set output_name to the one that holds its probabilities"):
        target.model.scores(PICTURES)
    assert "outputs" not in asked[0]
    target, _ = oip(COLOUR, {}, two, input_name="i", output_name="probs")
    with pytest.raises(InputError, match="no output 'probs'; it gives 'p', 'q'"):
        target.model.scores(PICTURES)


@pytest.mark.parametrize(
    "answer",
    [{"predictions": []}, [1, 2], outputs(("p", "FP32", [2, 2], [0.5] * 3)), outputs(("p", "FP32", [2, 2], [[1], 2]))],
)
def test_an_answer_of_another_protocol_is_a_bad_answer(answer: Any) -> None:
    target, _ = oip(COLOUR, {}, answer, input_name="i")
    with pytest.raises(BadAnswer, match=r"127.0.0.1 is not one of the Open Inference Protocol"):
        target.model.scores(PICTURES)
    target, _ = oip(COLOUR, {}, {"outputs": []}, input_name="i")
    with pytest.raises(BadAnswer, match="holds no outputs"):
        target.model.scores(PICTURES)


def test_logits_give_scores_by_softmax_also_from_one_column() -> None:
    logits = np.array([[1.0, 3.0], [-1000.0, 1000.0]])
    meaning = Meaning(("a", "b"), Output.LOGITS)
    target, _ = oip(COLOUR, {}, outputs(("z", "FP64", [2, 2], logits.tolist())), input_name="i", output="logits")
    assert target.model.access == Access.LOGITS
    assert np.allclose(target.model.scores(PICTURES), [[1 / (1 + np.e**2), 1 / (1 + np.e**-2)], [0.0, 1.0]])
    assert (target.model.logits(PICTURES) == logits).all()
    one = meaning.translate([[2.0], [-3.0]], 2)
    assert np.allclose(np.exp(one[:, 1]) / np.exp(one).sum(1), 1 / (1 + np.exp([-2.0, 3.0])))


@pytest.mark.parametrize(
    ("classes", "given", "numbers"),
    [
        (("no", "yes"), ["yes", "no"], [1, 0]),
        (("no", "yes"), [1, 0.0], [1, 0]),
        (("1", "2"), [2, 1], [1, 0]),  # names that are numbers are names
        (("1", "2"), ["1", "2"], [0, 1]),
        (("False", "True"), [True, False], [1, 0]),
        (("ä", "b"), ["ä".encode(), b"b"], [0, 1]),
        (("x", "1"), ["1", 0], [1, 0]),  # a name wins over a place
    ],
)
def test_labels_become_class_numbers(classes: tuple[str, ...], given: list[Any], numbers: list[int]) -> None:
    meaning = Meaning(classes, Output.LABELS)
    for shape in (given, [[value] for value in given]):
        answer = meaning.translate(np.array(shape, dtype=object), 2)
        assert answer.tolist() == numbers
        assert answer.dtype == np.int64


@pytest.mark.parametrize(
    ("classes", "given", "words"),
    [
        (("1", "2"), [0, 1], "the class '0'"),
        (("no", "yes"), [2, 0], "the class '2'"),
        (("no", "yes"), ["maybe", "no"], "the class 'maybe'"),
        (("no", "yes"), [0.5, 1.0], "the class '0.5'"),
        (("no", "yes"), [[0.5, 0.5], [1.0, 0.0]], r"numbers of shape \(2, 2\), not with labels of shape \(2,\)"),
    ],
)
def test_labels_that_are_no_class_are_a_bad_answer(classes: tuple[str, ...], given: Any, words: str) -> None:
    with pytest.raises(BadAnswer, match=words):
        Meaning(classes, Output.LABELS).translate(given, 2)


def test_probabilities_by_name_are_put_in_the_order_of_the_classes() -> None:
    rows = [{"yes": 0.75, "no": 0.25}, {"no": 0.5, "yes": 0.5}]
    assert Meaning(("no", "yes"), Output.PROBABILITIES).translate(rows, 2).tolist() == [[0.25, 0.75], [0.5, 0.5]]
    by_number = [{"1": 0.75, "0": 0.25}] * 2
    assert Meaning(("no", "yes"), Output.PROBABILITIES).translate(by_number, 2).tolist() == [[0.25, 0.75]] * 2
    with pytest.raises(BadAnswer, match="answers with the classes yes, but the target is said to have no, yes"):
        Meaning(("no", "yes"), Output.PROBABILITIES).translate([{"yes": 1.0}] * 2, 2)


@pytest.mark.parametrize(
    ("predictions", "settings"),
    [
        ([{"predicted": 0.5}, {"predicted": 0.75}], {}),
        ([{"label": 1, "p": [0.5, 0.5]}, {"label": 0, "p": [0.25, 0.75]}], {"output_name": "p"}),
        ({"label": [1, 0], "p": [[0.5, 0.5], [0.25, 0.75]]}, {}),
        ([{"b": 0.5, "a": 0.5}, {"a": 0.25, "b": 0.75}], {}),
    ],
)
def test_mlflow_predictions_may_have_names(predictions: Any, settings: dict[str, Any]) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"predictions": predictions}))
    target = from_http(
        "http://127.0.0.1:9", "mlflow", classes=("a", "b"), inputs=COLOUR, transport=transport, **settings
    )
    assert target.model.scores(PICTURES).tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_mlflow_images_may_go_into_a_named_tensor() -> None:
    asked: list[Any] = []

    def reply(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json={"predictions": [[0.5, 0.5]] * 2})

    target = from_http(
        "http://127.0.0.1:9",
        "mlflow",
        classes=("a", "b"),
        inputs=COLOUR,
        input_name="pixels",
        transport=httpx.MockTransport(reply),
    )
    target.model.scores(PICTURES)
    assert asked == [{"inputs": {"pixels": PICTURES.tolist()}}]


def test_no_records_need_no_question() -> None:
    target, asked = oip(COLOUR, {}, HALF, input_name="i")
    assert target.model.scores(PICTURES[:0]).shape == (0, 2)
    assert asked == []
    labels, _ = oip(COLOUR, {}, HALF, input_name="i", output="labels")
    assert labels.model.labels(PICTURES[:0]).shape == (0,)
