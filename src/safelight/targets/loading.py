"""Open whatever holds the model: a file, the user's own function, or an address. Nothing runs that is not trusted.

A file's ending says how it is read, and each reader refuses what is not of its kind: a pickle renamed to .onnx, .skops
or .safetensors is never unpickled.
"""

from __future__ import annotations

import inspect
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.data.functions import is_function, load_function
from safelight.errors import InputError, MissingExtra, UntrustedFile, did_you_mean
from safelight.targets.base import Images, Table, Target
from safelight.targets.foreign import Output

PICKLES = (".joblib", ".pkl", ".pickle")
TORCH = (".pt", ".pth", ".ts", ".torchscript", ".pt2")
ENDINGS = (".onnx", ".safetensors", *TORCH, ".skops", *PICKLES)


@dataclass(frozen=True)
class WithClasses:
    """Gives an object with `predict_proba` the class numbers that scikit-learn would have given it."""

    model: Any
    classes_: Array

    def predict_proba(self, x: Any) -> Array:
        return np.asarray(self.model.predict_proba(x))

    def predict(self, x: Any) -> Array:
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


def load_target(
    model: str | Path,
    *,
    inputs: Images | Table | None = None,
    classes: Sequence[str] | None = None,
    output: str | None = None,
    trusted: bool = False,
    folder: Path | str = ".",
    factory: str | Callable[[], Any] | None = None,
    like: Any = None,
    input_name: str | None = None,
    output_name: str | None = None,
    name: str | None = None,
    **served: Any,
) -> Target:
    """Open a target.

    Args:
        model: a path that ends in .onnx, .safetensors, .pt, .pth, .ts, .pt2, .skops, .joblib, .pkl or .pickle; or
            "module:function" (or "file.py:function"), which returns a Target, a torch module or something with
            `predict`; or an http(s) address.
        inputs: what one record looks like.
        classes: names of the classes; () for regression behind ONNX or HTTP.
        output: "probabilities", "logits" or "labels"; "logits" for torch networks and "probabilities" elsewhere when
            left out. scikit-learn models speak for themselves.
        trusted: the owner's word that a file which can run code may be opened.
        folder: what paths are relative to.
        factory: what builds the network for weights alone, "module:function" or a function.
        like: a DataFrame with the columns of a scikit-learn model that does not know them.
        input_name: for ONNX and HTTP.
        output_name: for ONNX and HTTP.
        name: for the report.
        served: further settings of `safelight.targets.http.from_http`.

    Raises:
        UntrustedFile: the file can run code, and `trusted` is not set; nothing of it was run.
        InputError: the file is missing, of an unknown kind, or holds no model.
        NotAllowed: an address that is not this machine.
    """
    spec, folder = str(model), Path(folder)
    hints = _Hints(inputs, None if classes is None else tuple(map(str, classes)), like, name)
    named = {"input_name": input_name, "output_name": output_name}
    if "://" in spec:
        return _served(spec, hints, output, named, served)
    if served:
        raise InputError(f"{', '.join(served)} is a setting for addresses, but the target is {spec}; leave it out.")
    if is_function(spec):
        return _returned(load_function(spec, folder), spec, output, hints)
    path = folder / spec
    _check(path)
    if path.suffix == ".onnx":
        from safelight.targets.onnx import from_onnx

        return from_onnx(path, classes=classes, inputs=inputs, output=output or "probabilities", name=name, **named)
    build = load_function(factory, folder) if isinstance(factory, str) else factory
    if path.suffix == ".safetensors":
        from safelight.targets.torch_files import open_safetensors

        return _wrap(open_safetensors(path, build), path.name, output, hints)
    if path.suffix in TORCH:
        from safelight.targets.torch_files import open_torch

        return _wrap(open_torch(path, build, trusted), path.name, output, hints)
    return _wrap(_skops(path, trusted) if path.suffix == ".skops" else _pickle(path, trusted), path.name, output, hints)


@dataclass(frozen=True)
class _Hints:
    """What the owner says about the model."""

    inputs: Images | Table | None
    classes: tuple[str, ...] | None
    like: Any
    name: str | None


def _check(path: Path) -> None:
    if path.suffix not in ENDINGS:
        raise InputError(
            f"{path} has an ending that no reader is known for; use {', '.join(ENDINGS)}, "
            f'"module:function" or an address.{did_you_mean(path.suffix, ENDINGS)}'
        )
    if not path.is_file():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"There is no file {path}; correct the path.{did_you_mean(path.name, beside)}")


def _served(
    url: str, hints: _Hints, output: str | None, named: dict[str, str | None], served: dict[str, Any]
) -> Target:
    from safelight.targets.http import from_http

    known = inspect.signature(from_http).parameters
    for key in served:
        if key not in known:
            raise InputError(f"There is no setting {key!r} for an address.{did_you_mean(key, known)}")
    if hints.inputs is None:
        raise InputError(f"{url.partition('?')[0]} does not say what its records are; give inputs.")
    if hints.classes is None:
        raise InputError(f"{url.partition('?')[0]} does not say what its classes are; give their names (classes).")
    given = {**named, **served, "classes": hints.classes, "inputs": hints.inputs, "name": hints.name}
    return from_http(url, output=output or "probabilities", **given)


def _returned(found: Any, spec: str, output: str | None, hints: _Hints) -> Target:
    """Wrap what the user's function returns, or what the name itself stands for."""
    if not (isinstance(found, Target) or hasattr(found, "predict") or _is_module(found)):
        try:
            inspect.signature(found).bind()
        except TypeError:
            raise InputError(f"{spec} needs arguments; name a function that is called without any.") from None
        found = found()
    return _wrap(found, spec, output, hints)


def _wrap(found: Any, source: str, output: str | None, hints: _Hints) -> Target:
    """Make a target of a network, an estimator, or anything with `predict_proba` or `predict`."""
    if isinstance(found, Target):
        return found
    name = hints.name or source
    if _is_module(found):
        from safelight.targets.torch import from_torch
        from safelight.targets.torch_files import as_logits

        if isinstance(hints.inputs, Table):
            raise InputError(f"{source} is a torch network, which is audited on images; give inputs the images' shape.")
        inputs = hints.inputs if hints.inputs is not None else getattr(found, "inputs", None)
        net = as_logits(found, Output.named(output or "logits"), inputs)
        return from_torch(net, inputs, hints.classes, name=name)
    if not hasattr(found, "predict") and not hasattr(found, "predict_proba"):
        raise InputError(
            f"{source} holds a {type(found).__name__}, which is no model; give a Target, a torch module, or an object "
            "with predict or predict_proba."
        )
    if hasattr(found, "predict_proba") and not hasattr(found, "classes_"):
        if not hints.classes:
            raise InputError(f"{source} does not name its classes (classes_); give their names (classes).")
        found = WithClasses(found, np.arange(len(hints.classes)))
    return Target.from_sklearn(found, _like(hints), labels=hints.classes or None, name=name)


def _like(hints: _Hints) -> Any:
    if hints.like is not None or not isinstance(hints.inputs, Table):
        return hints.inputs if hints.like is None else hints.like
    import pandas as pd

    return pd.DataFrame(columns=list(hints.inputs.columns))


def _is_module(found: Any) -> bool:
    """Whether this is a torch module; where torch was never imported, nothing can be one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(found, torch.nn.Module)


def _skops(path: Path, trusted: bool) -> Any:
    try:
        from skops import io
    except ImportError:
        raise MissingExtra("skops", "skops", "A .skops file") from None
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no skops file (those are zip archives); save the model with skops.io.dump.")
    try:
        strange = io.get_untrusted_types(file=path)
        if strange and not trusted:
            raise UntrustedFile(
                f"{path} holds types that skops does not know as safe ({', '.join(strange)}); set trusted = true if "
                "they are your own."
            )
        return io.load(path, trusted=strange)
    except (AttributeError, ImportError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def _pickle(path: Path, trusted: bool) -> Any:
    if not trusted:
        raise UntrustedFile(
            f"{path} is a pickle, which can run any code when it is opened; set trusted = true if it is your own, or "
            "save the model as .skops, .onnx or .safetensors, which need no trust."
        )
    import joblib

    try:
        return joblib.load(path)
    except (
        AttributeError,
        EOFError,
        ImportError,
        LookupError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
        struct.error,
        zlib.error,
    ) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    words = " ".join(str(error).split())[:160]
    return InputError(
        f"{path} cannot be read ({type(error).__name__}: {words}); save the model again in this environment."
    )
