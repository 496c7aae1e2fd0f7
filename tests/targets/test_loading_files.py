"""Every kind of file, function and address; and that nothing of an untrusted file runs."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy import ndarray as Array
from safetensors.torch import save_file
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from skops import io

from safelight.errors import InputError, MissingExtra, NotAllowed, UntrustedFile
from safelight.targets.base import Images, Table, Target
from safelight.targets.loading import load_target
from safelight.threat import Access, ThreatModel

SHAPE = Images((1, 4, 4))
TABLE = Table(("a", "b", "c", "d"))


class Net(torch.nn.Module):
    def __init__(self, size: int = 8) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(16, size), torch.nn.BatchNorm1d(size), torch.nn.Linear(size, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Writes(torch.nn.Module):
    """A TorchScript module whose loading writes a file."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker
        self.weights = torch.nn.Parameter(torch.ones(16, 3))

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return self.marker, self.weights, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]) -> None:
        torch.save(state[1], state[0])
        self.marker, self.weights, self.training = state[0], state[1], state[2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weights


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "opened")


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def pictures() -> Array:
    return np.random.default_rng(0).random((7, 1, 4, 4), dtype=np.float32)


@pytest.fixture(scope="module")
def iris() -> tuple[pd.DataFrame, LogisticRegression]:
    data = load_iris(as_frame=True)
    frame = data.data.set_axis(list(TABLE.columns), axis=1)
    return frame, LogisticRegression(max_iter=500).fit(frame, data.target)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def logits(target: Target, x: Array) -> Array:
    return target.view(ThreatModel(Access.WEIGHTS)).logits(x)


def same(target: Target, net: torch.nn.Module, pictures: Array) -> None:
    assert target.model.access == Access.WEIGHTS
    assert np.abs(logits(target, pictures) - logits(Target.from_torch(net, SHAPE), pictures)).max() < 1e-6


# Networks ------------------------------------------------------------------------------------------------------------


def test_safetensors_with_a_factory(net: Net, pictures: Array, tmp_path: Path) -> None:
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    target = load_target("net.safetensors", folder=tmp_path, inputs=SHAPE, classes=["x", "y", "z"], factory=Net)
    same(target, net, pictures)
    assert (target.name, target.model.classes) == ("net.safetensors", ("x", "y", "z"))
    (tmp_path / "mine.py").write_text(Path(__file__).read_text())
    same(load_target("net.safetensors", folder=tmp_path, inputs=SHAPE, factory="mine.py:Net"), net, pictures)
    with pytest.raises(InputError, match=r'net.safetensors holds weights alone; set factory = "module:function"'):
        load_target("net.safetensors", folder=tmp_path, inputs=SHAPE)
    with pytest.raises(InputError, match="do not fit the factory's network"):
        load_target("net.safetensors", folder=tmp_path, inputs=SHAPE, factory=lambda: Net(9))
    with pytest.raises(InputError, match=r"The factory returned a dict; let it return a torch.nn.Module"):
        load_target("net.safetensors", folder=tmp_path, inputs=SHAPE, factory=dict)


@pytest.mark.parametrize("nested", [None, "state_dict", "model_state_dict"])
def test_a_pt_file_of_weights_needs_a_factory_and_no_trust(
    net: Net, pictures: Array, tmp_path: Path, nested: str | None
) -> None:
    torch.save({nested: net.state_dict(), "epoch": 3} if nested else net.state_dict(), tmp_path / "net.pt")
    for trusted in (False, True):
        same(load_target(tmp_path / "net.pt", inputs=SHAPE, factory=Net, trusted=trusted), net, pictures)
    with pytest.raises(InputError, match="holds weights alone; set factory"):
        load_target(tmp_path / "net.pt", inputs=SHAPE)
    with pytest.raises(InputError, match="do not fit the factory's network"):
        load_target(tmp_path / "net.pt", inputs=SHAPE, factory=lambda: Net(9))


def test_a_whole_module_needs_trust(net: Net, pictures: Array, tmp_path: Path) -> None:
    torch.save(net, tmp_path / "net.pth")
    with pytest.raises(UntrustedFile, match=r"net.pth holds a pickled module, which can run code.*trusted = true"):
        load_target(tmp_path / "net.pth", inputs=SHAPE, factory=Net)
    same(load_target(tmp_path / "net.pth", inputs=SHAPE, trusted=True), net, pictures)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_needs_trust_since_opening_it_runs_its_code(
    net: Net, pictures: Array, tmp_path: Path, marker: Path
) -> None:
    torch.jit.save(torch.jit.script(net), tmp_path / "net.ts")
    same(load_target(tmp_path / "net.ts", inputs=SHAPE, trusted=True), net, pictures)
    torch.jit.save(torch.jit.script(Writes(str(marker))), tmp_path / "evil.pt")
    marker.unlink(missing_ok=True)
    for factory in (None, Net):
        with pytest.raises(UntrustedFile, match=r"evil.pt holds a TorchScript program.*save the model as .skops"):
            load_target(tmp_path / "evil.pt", inputs=SHAPE, factory=factory)
    assert not marker.exists()
    load_target(tmp_path / "evil.pt", inputs=SHAPE, trusted=True)
    assert marker.exists()  # so the refusal above was worth something


def test_exported_programs_need_trust_and_answer_any_number(net: Net, pictures: Array, tmp_path: Path) -> None:
    for batch, shapes in ((1, None), (3, None), (2, ({0: torch.export.Dim("n")},))):
        path = tmp_path / "net.pt2"
        torch.export.save(torch.export.export(net, (torch.zeros(batch, 1, 4, 4),), dynamic_shapes=shapes), path)
        with pytest.raises(UntrustedFile, match="holds an exported program"):
            load_target(path, inputs=SHAPE)
        target = load_target(path, inputs=SHAPE, trusted=True)
        same(target, net, pictures)
        x = torch.as_tensor(pictures).requires_grad_(True)
        target.view(ThreatModel(Access.WEIGHTS)).differentiable(x)[:, 0].sum().backward()
        y = torch.as_tensor(pictures).requires_grad_(True)
        net(y)[:, 0].sum().backward()
        assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_torch_files_that_cannot_be_read(tmp_path: Path, marker: Path) -> None:
    for name in ("a.pt", "a.pt2", "a.safetensors"):
        (tmp_path / name).write_bytes(b"this is no such file")
        with pytest.raises(InputError, match=f"{name} (cannot be opened as a torch file|is no safetensors file)"):
            load_target(tmp_path / name, inputs=SHAPE, factory=Net)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="holds a list, not the weights of a network"):
        load_target(tmp_path / "list.pt", inputs=SHAPE, factory=Net)
    torch.save({"weights": Trap(marker)}, tmp_path / "trap.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Trap(marker), protocol=2))
    for name in ("trap.pt", "old.pt"):
        with pytest.raises(UntrustedFile, match="holds a pickled module"):
            load_target(tmp_path / name, inputs=SHAPE, factory=Net)
    assert not marker.exists()


# scikit-learn --------------------------------------------------------------------------------------------------------


def test_skops_files_need_no_trust_unless_they_hold_strange_types(
    iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path
) -> None:
    frame, model = iris
    io.dump(model, tmp_path / "model.skops")
    target = load_target("model.skops", folder=tmp_path)
    assert (target.model.scores(frame) == model.predict_proba(frame)).all()
    named = load_target("model.skops", folder=tmp_path, classes=["x", "y", "z"], name="flowers")
    assert (named.model.classes, named.name) == (("x", "y", "z"), "flowers")
    io.dump(FunctionTransformer(Path.exists), tmp_path / "strange.skops")
    with pytest.raises(UntrustedFile, match=r"types that skops does not know as safe \(.*exists.*trusted = true"):
        load_target("strange.skops", folder=tmp_path)


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl", "model.pickle"])
def test_pickles_need_trust(
    iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path, marker: Path, name: str
) -> None:
    frame, model = iris
    dump = joblib.dump if name == "model.joblib" else lambda what, path: path.write_bytes(pickle.dumps(what))
    dump(model, tmp_path / name)
    target = load_target(tmp_path / name, trusted=True)
    assert (target.model.scores(frame) == model.predict_proba(frame)).all()
    assert target.model.inputs == TABLE
    (tmp_path / name).write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(
        UntrustedFile, match=f"{name} is a pickle, which can run any code.*set trusted = true.*.skops, .onnx"
    ):
        load_target(tmp_path / name)
    assert not marker.exists()
    with pytest.raises(InputError, match="holds a int, which is no model"):
        load_target(tmp_path / name, trusted=True)
    assert marker.exists()
    (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        load_target(tmp_path / name, trusted=True)


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("ending", ["onnx", "skops", "safetensors"])
def test_a_renamed_pickle_is_never_unpickled(tmp_path: Path, marker: Path, ending: str, trusted: bool) -> None:
    path = tmp_path / f"model.{ending}"
    path.write_bytes(pickle.dumps(Trap(marker)))
    with pytest.raises(InputError, match=f"model.{ending} is no "):
        load_target(path, inputs=SHAPE, factory=Net, trusted=trusted)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", pickle.dumps(Trap(marker)))
        archive.writestr("data.pkl", pickle.dumps(Trap(marker)))
    with pytest.raises(InputError, match=f"model.{ending}"):
        load_target(path, inputs=SHAPE, factory=Net, trusted=trusted)
    assert not marker.exists()


def test_columns_that_the_model_does_not_know_are_told(
    iris: tuple[pd.DataFrame, LogisticRegression], tmp_path: Path
) -> None:
    frame, named = iris
    model = LogisticRegression(max_iter=500).fit(frame.to_numpy(), named.predict(frame))
    io.dump(model, tmp_path / "model.skops")
    for hint in ({"inputs": TABLE}, {"like": frame}):
        target = load_target("model.skops", folder=tmp_path, **hint)
        assert (target.model.scores(frame) == model.predict_proba(frame.to_numpy())).all()
    with pytest.raises(InputError, match="does not know the names of its columns"):
        load_target("model.skops", folder=tmp_path)


# Functions, addresses, ONNX ------------------------------------------------------------------------------------------

CODE = """
import numpy as np

class Model:
    def predict_proba(self, x):
        p = 1 / (1 + np.exp(-np.asarray(x)[:, 0].astype(float)))
        return np.stack([1 - p, p], axis=1)

def plain():
    return Model()

def net():
    import torch
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3), torch.nn.Softmax(1))

def target():
    from safelight.targets.base import Target
    return Target("mine", Model())

def needs(size):
    return Model()

def pair():
    import torch
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x, x
    return Pair()

def nothing():
    return 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "project.py").write_text(CODE)
    return tmp_path


def test_a_function_may_return_anything_with_predict_proba(code: Path) -> None:
    frame = pd.DataFrame({"a": [0.0, 2.0]})
    target = load_target("project.py:plain", folder=code, inputs=Table(("a",)), classes=["no", "yes"])
    assert np.allclose(target.view(ThreatModel()).scores(frame)[:, 1], 1 / (1 + np.exp([0.0, -2.0])))
    assert target.model.labels(pd.DataFrame({"a": [-1.0, 2.0]})).tolist() == [0, 1]
    assert target.model.classes == ("no", "yes")
    with pytest.raises(InputError, match=r"project.py:plain does not name its classes \(classes_\); give their names"):
        load_target("project.py:plain", folder=code, inputs=Table(("a",)))


def test_a_function_may_return_a_network_that_ends_in_a_softmax(code: Path, pictures: Array) -> None:
    torch.manual_seed(1)
    target = load_target("project.py:net", folder=code, inputs=SHAPE, output="probabilities")
    with torch.no_grad():
        inside = target.model.module().net(torch.as_tensor(pictures)).numpy()
    assert np.abs(target.view(ThreatModel()).scores(pictures) - inside).max() < 1e-6
    with pytest.raises(InputError, match=r'said to give logits, but .* sums to 1 with .* set output = "probabilities"'):
        load_target("project.py:net", folder=code, inputs=SHAPE)
    with pytest.raises(InputError, match="gives logits or probabilities, not labels"):
        load_target("project.py:net", folder=code, inputs=SHAPE, output="labels")
    with pytest.raises(InputError, match="The network answers with a tuple; let it return one tensor of logits"):
        load_target("project.py:pair", folder=code, inputs=SHAPE)
    with pytest.raises(InputError, match="is a torch network, which is audited on images"):
        load_target("project.py:net", folder=code, inputs=TABLE)


def test_a_network_whose_logits_are_said_to_be_probabilities_is_refused(net: Net, tmp_path: Path) -> None:
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=r'said to give probabilities, but for a dark image .* set output = "logits"'):
        load_target(tmp_path / "net.safetensors", inputs=SHAPE, factory=Net, output="probabilities")


def test_a_function_may_return_a_target_and_nothing_else(code: Path) -> None:
    assert load_target("project.py:target", folder=code).name == "mine"
    with pytest.raises(InputError, match=r"project.py:needs needs arguments; name a function"):
        load_target("project.py:needs", folder=code)
    with pytest.raises(InputError, match=r"project.py:nothing holds a int, which is no model; give a Target"):
        load_target("project.py:nothing", folder=code)


def test_addresses_go_to_the_http_adapter() -> None:
    known = {"inputs": TABLE, "classes": ["no", "yes"], "protocol": "mlflow"}
    target = load_target("http://127.0.0.1:9/m", rate=5, output="logits", **known)
    assert (target.name, target.model.access, target.model.batch) == ("127.0.0.1:9/m", Access.LOGITS, 5)
    with pytest.raises(NotAllowed, match="--i-may-test-this"):
        load_target("https://models.example.com/m", **known)
    with pytest.raises(InputError, match=r"no setting 'time_out' for an address. Did you mean 'timeout'\?"):
        load_target("http://127.0.0.1:9/m", time_out=3, **known)
    with pytest.raises(InputError, match="does not say what its classes are"):
        load_target("http://127.0.0.1:9/m?key=hidden", inputs=TABLE)
    with pytest.raises(InputError, match=r"^http://127.0.0.1:9/m does not say what its records are"):
        load_target("http://127.0.0.1:9/m?key=hidden", classes=["a"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_onnx_files_go_to_the_onnx_adapter(net: Net, pictures: Array, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (torch.zeros(1, 1, 4, 4),), str(path), dynamo=False, input_names=["x"], output_names=["y"])
    target = load_target("net.onnx", folder=tmp_path, output="logits", input_name="x", output_name="y")
    assert target.model.access == Access.LOGITS
    assert np.abs(target.model.logits(pictures) - Target.from_torch(net, SHAPE).model.logits(pictures)).max() < 1e-6


@pytest.mark.parametrize(
    ("ending", "package", "ours", "extra"),
    [
        ("onnx", "onnxruntime", "safelight.targets.onnx", "onnx"),
        ("skops", "skops", None, "skops"),
        ("safetensors", "safetensors", None, "torch"),
        ("pt", "torch", "safelight.targets.torch_files", "torch"),
    ],
)
def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, package: str, ours: str | None, extra: str
) -> None:
    (tmp_path / f"model.{ending}").touch()
    monkeypatch.setitem(sys.modules, package, None)
    if ours is not None:
        monkeypatch.delitem(sys.modules, ours, raising=False)
    with pytest.raises(MissingExtra, match=rf'needs the package {package}, .*run: pip install "safelight\[{extra}\]"'):
        load_target(tmp_path / f"model.{ending}", inputs=SHAPE, factory=Net)


def test_files_that_are_not_there_or_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").touch()
    with pytest.raises(InputError, match=r"There is no file .*modle.joblib; .* Did you mean 'model.joblib'"):
        load_target("modle.joblib", folder=tmp_path, trusted=True)
    with pytest.raises(InputError, match=r"model.jbolib has an ending .* Did you mean '.joblib'"):
        load_target("model.jbolib", folder=tmp_path)
    with pytest.raises(InputError, match=r"rate is a setting for addresses, but the target is model.joblib"):
        load_target("model.joblib", folder=tmp_path, rate=3)
    with pytest.raises(InputError, match="ftp://x is no address of a server"):
        load_target("ftp://x", inputs=TABLE, classes=["a", "b"])
