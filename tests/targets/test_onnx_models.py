"""ONNX files against the same model in process: a torch network, scikit-learn shaped graphs, and broken files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy import ndarray as Array
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

from safelight.errors import BadAnswer, InputError
from safelight.targets.base import Images, Table, Target
from safelight.targets.onnx import from_onnx
from safelight.threat import Access, ThreatModel

# The exporter that needs no further package calls itself deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMES = ("setosa", "versicolor", "virginica")
SHAPE = Images((1, 6, 5))


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(48, 3)).eval()


@pytest.fixture(scope="module")
def pictures() -> Array:
    return np.random.default_rng(0).random((1100, 1, 6, 5), dtype=np.float32)


@pytest.fixture(scope="module")
def iris() -> tuple[pd.DataFrame, LogisticRegression]:
    data = load_iris(as_frame=True)
    frame = data.data.set_axis(["a", "b", "c", "d"], axis=1)
    return frame, LogisticRegression(max_iter=500).fit(frame, np.array(NAMES)[data.target])


def export(net: torch.nn.Module, path: Path, batch: int | None = None) -> Path:
    axes = None if batch else {"x": {0: "n"}, "y": {0: "n"}}
    example = (torch.zeros(batch or 2, 1, 6, 5),)
    torch.onnx.export(net, example, str(path), dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return path


def linear(
    model: LogisticRegression, path: Path, *, columns: tuple[str, ...] = (), zipmap: bool = True, words: bool = True
) -> Path:
    """Write what converters write for a logistic regression: labels, then probabilities, named by class or not."""
    size = model.coef_.shape[1]
    kind = TensorProto.STRING if words else TensorProto.INT64
    names = {"classlabels_strings": list(model.classes_)} if words else {"classlabels_ints": [0, 1, 2]}
    entries = [helper.make_tensor_value_info(c, TensorProto.FLOAT, ["n", 1]) for c in columns]
    nodes = [helper.make_node("Concat", list(columns), ["x"], axis=1)] if columns else []
    nodes.append(
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "raw"],
            domain="ai.onnx.ml",
            coefficients=model.coef_.astype(np.float32).reshape(-1).tolist(),
            intercepts=model.intercept_.astype(np.float32).tolist(),
            multi_class=1,
            post_transform="SOFTMAX",
            **names,
        )
    )
    labels = helper.make_tensor_value_info("label", kind, ["n"])
    if zipmap:
        keys = {f"classlabels_{'strings' if words else 'int64s'}": next(iter(names.values()))}
        nodes.append(helper.make_node("ZipMap", ["raw"], ["probabilities"], domain="ai.onnx.ml", **keys))
        scores = helper.make_value_info(
            "probabilities",
            helper.make_sequence_type_proto(
                helper.make_map_type_proto(kind, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
            ),
        )
    else:
        scores = helper.make_tensor_value_info("raw", TensorProto.FLOAT, ["n", 3])
    inputs = entries or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", size])]
    return write(helper.make_graph(nodes, "g", inputs, [labels, scores]), path)


def write(graph: Any, path: Path) -> Path:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def test_a_torch_network_gives_its_own_logits_and_scores(net: torch.nn.Module, pictures: Array, tmp_path: Path) -> None:
    target = from_onnx(export(net, tmp_path / "net.onnx"), output="logits")
    inside = Target.from_torch(net, SHAPE)
    assert target.model.inputs == SHAPE
    assert target.model.classes == ("0", "1", "2")
    assert target.model.access == Access.LOGITS
    seen, known = (each.view(ThreatModel(Access.LOGITS)) for each in (target, inside))
    assert np.abs(seen.logits(pictures) - known.logits(pictures)).max() < 1e-6
    assert np.abs(seen.scores(pictures) - known.scores(pictures)).max() < 1e-6
    assert (seen.labels(pictures) == known.labels(pictures)).all()


@pytest.mark.parametrize("batch", [1, 64])
def test_a_graph_of_fixed_batch_size_answers_any_number(
    net: torch.nn.Module, pictures: Array, tmp_path: Path, batch: int
) -> None:
    target = from_onnx(export(net, tmp_path / "net.onnx", batch), classes=NAMES, output="logits")
    assert target.model.fixed == batch
    asked = pictures[:150]
    logits = target.model.logits(asked)
    assert logits.shape == (150, 3)
    assert np.abs(logits - Target.from_torch(net, SHAPE).model.logits(asked)).max() < 1e-6


def test_logits_that_are_said_to_be_probabilities_stop_at_the_door(
    net: torch.nn.Module, pictures: Array, tmp_path: Path
) -> None:
    view = from_onnx(export(net, tmp_path / "net.onnx")).view(ThreatModel(Access.SCORES))
    with pytest.raises(BadAnswer, match=r'set output = "logits"'):
        view.scores(pictures)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("columns", [(), ("a", "b", "c", "d")])
def test_tables_of_converters(
    iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path, zipmap: bool, words: bool, columns: tuple[str, ...]
) -> None:
    frame, model = iris
    path = linear(model, tmp_path / "iris.onnx", columns=columns, zipmap=zipmap, words=words)
    table = Table(("a", "b", "c", "d"))
    inputs = None if columns else table
    target = from_onnx(path, classes=NAMES, inputs=inputs)
    assert target.model.inputs == table
    assert np.abs(target.view(ThreatModel()).scores(frame) - model.predict_proba(frame)).max() < 1e-6
    labels = from_onnx(path, classes=NAMES, inputs=inputs, output="labels", output_name="label")
    assert labels.model.access == Access.LABEL
    assert (np.array(NAMES)[labels.model.labels(frame)] == model.predict(frame)).all()
    other_order = from_onnx(path, classes=NAMES[::-1], inputs=inputs) if zipmap and words else None
    if other_order is not None:
        assert np.abs(other_order.model.scores(frame)[:, ::-1] - model.predict_proba(frame)).max() < 1e-6


def test_the_number_of_classes_is_read_from_the_model_or_asked_for(
    iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path
) -> None:
    frame, model = iris
    table = Table(tuple(frame.columns))
    plain = linear(model, tmp_path / "plain.onnx", zipmap=False)
    assert from_onnx(plain, inputs=table).model.classes == ("0", "1", "2")
    with pytest.raises(InputError, match=r"map.onnx does not say how many classes it has; give their names"):
        from_onnx(linear(model, tmp_path / "map.onnx"), inputs=table)
    with pytest.raises(InputError, match=r"plain.onnx does not say what its records are; give inputs="):
        from_onnx(plain)
    with pytest.raises(InputError, match="takes 4 columns in its input 'x', but the table has 2"):
        from_onnx(plain, inputs=Table(("a", "b")))
    with pytest.raises(InputError, match=r"plain.onnx takes the inputs x, not 'y' alone"):
        from_onnx(plain, inputs=table, input_name="y")
    with pytest.raises(InputError, match=r"no output 'lable'; it gives 'label', 'raw'. Did you mean 'label'"):
        from_onnx(plain, inputs=table, classes=NAMES, output_name="lable").model.scores(frame)


def test_regression_in_double_precision(iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path) -> None:
    frame, _ = iris
    model = LinearRegression().fit(frame[["a", "b"]], frame["c"])
    weights = helper.make_tensor("w", TensorProto.DOUBLE, [2, 1], model.coef_.tolist())
    offset = helper.make_tensor("o", TensorProto.DOUBLE, [1], [model.intercept_])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "o"], ["y"])]
    entry, leave = (helper.make_tensor_value_info(n, TensorProto.DOUBLE, ["n", k]) for n, k in (("x", 2), ("y", 1)))
    path = write(helper.make_graph(nodes, "g", [entry], [leave], [weights, offset]), tmp_path / "r.onnx")
    target = from_onnx(path, classes=(), inputs=Table(("a", "b")))
    assert target.model.access == Access.LABEL
    assert np.abs(target.view(ThreatModel(Access.LABEL)).labels(frame) - model.predict(frame[["a", "b"]])).max() < 1e-12


def test_records_that_the_graph_refuses(net: torch.nn.Module, tmp_path: Path) -> None:
    """The graph leaves height and width open, so that only running it tells."""
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "c", "h", "w"])
    leave = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [30, 3], [0.0] * 90)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    path = write(helper.make_graph(nodes, "g", [entry], [leave], [weights]), tmp_path / "open.onnx")
    assert from_onnx(path, inputs=SHAPE, output="logits").model.logits(np.zeros((2, 1, 6, 5))).shape == (2, 3)
    with pytest.raises(InputError, match="The ONNX model refuses these records"):
        from_onnx(path, inputs=Images((1, 5, 5)), output="logits").model.logits(np.zeros((2, 1, 5, 5)))


def test_files_that_are_no_onnx_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*none.onnx"):
        from_onnx(tmp_path / "none.onnx")
    bad = tmp_path / "bad.onnx"
    for content in (b"", b"not a model", pickle.dumps({"a": 1})):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=r"bad.onnx is no ONNX model that can be run"):
            from_onnx(bad)


def test_the_same_records_give_the_same_bits(net: torch.nn.Module, pictures: Array, tmp_path: Path) -> None:
    path = export(net, tmp_path / "net.onnx")
    first, second = (from_onnx(path, output="logits").model.logits(pictures) for _ in range(2))
    assert (first == second).all()
