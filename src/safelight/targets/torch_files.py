"""Open files that hold torch networks. What can run code when it is opened needs the owner's trust.

Three kinds carry a program, not only numbers, and are refused without trust:

- TorchScript: `torch.jit.load` runs the archive's own `__setstate__` methods, and their operators can write files.
  PyTorch's SECURITY.md says to treat such files as executable code from their sender.
- Exported programs (.pt2): `torch.export.load` falls back to the plain unpickler for sample inputs and custom objects.
- Whole pickled modules: unpickling calls whatever the file names.

Plain weights need no trust: .safetensors holds numbers alone, and a .pt file is read with `weights_only=True`. The code
that builds the network for them is the owner's own `factory`.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safelight.errors import InputError, MissingExtra, UntrustedFile
from safelight.targets.base import Images
from safelight.targets.foreign import Output

try:
    import torch
    from torch import Tensor, nn
except ImportError:
    raise MissingExtra("torch", "torch", "A torch file") from None

BROKEN = (
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
NESTED = ("state_dict", "model_state_dict", "model")  # under which training scripts keep the weights


class Exported(nn.Module):
    """An exported program as an ordinary module: it was exported in one mode for good, and maybe for one batch size."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.program = program.module()
        wanted = program.graph_signature.user_inputs[0]
        example = next(node.meta["val"] for node in program.graph.nodes if node.name == wanted)
        self.fixed = example.shape[0] if isinstance(example.shape[0], int) else None

    def train(self, mode: bool = True) -> Exported:
        """Stay as exported: the program itself refuses to change its mode."""
        return self

    def forward(self, x: Tensor) -> Tensor:
        if self.fixed is None:
            return self.program(x)  # type: ignore[no-any-return]
        parts = []
        for rows in x.split(self.fixed):
            filled = rows[torch.arange(self.fixed, device=x.device) % len(rows)]
            parts.append(self.program(filled)[: len(rows)])
        return torch.cat(parts)


class LogProbabilities(nn.Module):
    """Turns a network that ends in a softmax into one that gives logits, whose softmax is the same again."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        scores = self.net(x)
        return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()  # type: ignore[no-any-return]


def as_logits(net: nn.Module, output: Output, inputs: Any) -> nn.Module:
    """Return a network that gives logits, after a look at what it gives for a dark and a bright image.

    Raises:
        InputError: it is said to give labels, or its answers are not what they are said to be.
    """
    if output is Output.LABELS:
        raise InputError("A torch network gives logits or probabilities, not labels; set output to what it gives.")
    wanted = LogProbabilities(net) if output is Output.PROBABILITIES else net
    if not isinstance(inputs, Images):
        return wanted  # `from_torch` says what is missing
    net.eval()
    ends = torch.stack([torch.full(inputs.shape, end) for end in (inputs.low, inputs.high)])
    try:
        with torch.no_grad():
            answers = net(ends)
    except RuntimeError:
        return wanted  # `from_torch` says what is wrong with the images
    if not isinstance(answers, Tensor):
        raise InputError(f"The network answers with a {type(answers).__name__}; let it return one tensor of logits.")
    sums = answers.sum(dim=-1)
    if bool((answers >= 0).all() and ((sums - 1).abs() < 1e-4).all()) != (output is Output.PROBABILITIES):
        other = Output.LOGITS if output is Output.PROBABILITIES else Output.PROBABILITIES
        raise InputError(
            f"The network is said to give {output.value}, but for a dark image its answer sums to {sums[0]:.4g} with "
            f'least value {answers.min():.4g}; set output = "{other.value}".'
        )
    return wanted


def open_safetensors(path: Path, factory: Callable[[], Any] | None) -> nn.Module:
    """Return the factory's network with the weights of a .safetensors file; raises InputError when they do not fit."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_model
    except ImportError:
        raise MissingExtra("safetensors", "torch", "A .safetensors file") from None
    net = _build(factory, path)
    try:
        load_model(net, path)
    except SafetensorError as error:
        raise InputError(f"{path} is no safetensors file ({error}); save it with safetensors.torch.") from None
    except RuntimeError as error:
        raise _misfit(path, error) from None
    return net


def open_torch(path: Path, factory: Callable[[], Any] | None, trusted: bool) -> nn.Module:
    """Return the network in a .pt, .pth, .ts or .pt2 file; what it is is read from its contents, not its name.

    Raises:
        UntrustedFile: opening it can run code, and `trusted` is not set; nothing of it was run.
        InputError: it holds no network, or its weights do not fit the factory's.
    """
    kind = _archive(path)
    if kind is not None and not trusted:
        raise untrusted(path, kind)
    try:
        if kind == "a TorchScript program":
            return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call,no-any-return]
        if kind == "an exported program":
            return Exported(torch.export.load(path))
        found = torch.load(path, map_location="cpu", weights_only=not trusted)
    except pickle.UnpicklingError as error:
        if trusted:
            raise _broken(path, error) from None
        raise untrusted(path, "a pickled module") from None
    except BROKEN as error:
        raise _broken(path, error) from None
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, dict):
        found = next((found[key] for key in NESTED if isinstance(found.get(key), dict)), found)
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise InputError(f"{path} holds a {type(found).__name__}, not the weights of a network; save its state_dict().")
    net = _build(factory, path)
    try:
        net.load_state_dict(found)
    except RuntimeError as error:
        raise _misfit(path, error) from None
    return net


def untrusted(path: Path, kind: str) -> UntrustedFile:
    """Return the refusal of a file that can run code."""
    return UntrustedFile(
        f"{path} holds {kind}, which can run code when it is opened; set trusted = true if it is your own, or save the "
        "model as .skops, .onnx or .safetensors, which need no trust."
    )


def _archive(path: Path) -> str | None:
    """Tell the kinds of torch's zip archives apart by the names of their members, without opening any."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        return None
    if "constants.pkl" in names:
        return "a TorchScript program"
    return "an exported program" if "archive_format" in names else None


def _build(factory: Callable[[], Any] | None, path: Path) -> nn.Module:
    if factory is None:
        raise InputError(f'{path} holds weights alone; set factory = "module:function" to what builds the network.')
    net = factory()
    if not isinstance(net, nn.Module):
        raise InputError(f"The factory returned a {type(net).__name__}; let it return a torch.nn.Module.")
    return net


def _misfit(path: Path, error: Exception) -> InputError:
    return InputError(f"The weights in {path} do not fit the factory's network: {' '.join(str(error).split())[:200]}")


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be opened as a torch file ({type(error).__name__}: {str(error)[:100]!r}).")
