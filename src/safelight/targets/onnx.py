"""ONNX files as targets, run by onnxruntime. Opening one runs no code of its maker: it is data for fixed operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError, MissingExtra, did_you_mean
from safelight.targets.base import Images, Table, Target
from safelight.targets.foreign import ForeignModel, Meaning, Output
from safelight.targets.layout import Slot, check_slots, lay_out
from safelight.threat import Access

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError:
    raise MissingExtra("onnxruntime", "onnx", "An ONNX target") from None

DTYPES: dict[str, Any] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
    **{f"tensor({sign}int{bits})": np.dtype(f"{sign}int{bits}").type for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
TROUBLE = (
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoSuchFile,
    native.NotFound,
    native.NotImplemented,
    native.RuntimeException,
)


@dataclass
class OnnxModel(ForeignModel):
    """A graph that can be asked for its outputs. It has weights, but no gradient reaches through onnxruntime.

    Attributes:
        session: the loaded graph.
        slots: its inputs.
        fixed: the only batch size that it takes, or None for any.
        batch: the most records in one run.
    """

    session: onnxruntime.InferenceSession
    slots: tuple[Slot, ...]
    fixed: int | None = None
    batch: int = 512

    def ask(self, x: Any) -> Array:
        """Run the graph on records x.

        Raises:
            InputError: the graph refuses them.
            BadAnswer: its outputs are not what they were said to be.
        """
        names = [output.name for output in self.session.get_outputs()]
        if self.meaning.name in names:
            names = [self.meaning.name]
        parts = []
        for rows, count in self._batches(x):
            try:
                outputs = self.session.run(names, lay_out(rows, self.inputs, self.slots))
            except TROUBLE as error:
                raise InputError(f"The ONNX model refuses these records: {_first_line(error)}") from None
            cut = {name: values[:count] for name, values in zip(names, outputs, strict=True)}
            parts.append(self.meaning.translate(self.meaning.choose(cut), count))
        if parts:
            return np.concatenate(parts)
        return np.empty((0, len(self.classes)) if self.access > Access.LABEL else (0,))

    def _batches(self, x: Any) -> Iterator[tuple[Any, int]]:
        """Yield (records, how many of them count): a graph of fixed size gets its last batch filled by repetition."""
        size = self.fixed or self.batch
        for start in range(0, len(x), size):
            places = np.arange(start, min(start + size, len(x)))
            filled = np.resize(places, size) if self.fixed else places
            yield x.iloc[filled] if isinstance(x, pd.DataFrame) else np.asarray(x)[filled], len(places)


def from_onnx(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    inputs: Images | Table | None = None,
    output: str = "probabilities",
    input_name: str | None = None,
    output_name: str | None = None,
    name: str | None = None,
) -> Target:
    """Wrap an ONNX file.

    Args:
        path: the file.
        classes: names of the classes, in the order of the model's columns; () for regression; "0", "1", ... when left
            out and the model says how many there are.
        inputs: what one record looks like; may be left out where the model says so: images of a fixed shape in [0, 1],
            or one input a column.
        output: "probabilities", "logits" (softmax gives the scores) or "labels".
        input_name: must then be the model's only input.
        output_name: the output to read; the only one that fits when left out.
        name: for the report; the file's name when left out.

    Raises:
        InputError: the file cannot be read, or what it takes or gives cannot be told.
    """
    path = Path(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # sums in another order differ in the last digits
    options.log_severity_level = 4
    if not path.is_file():
        raise InputError(f"There is no file {path}; give the path of an ONNX file.")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except TROUBLE as error:
        raise InputError(f"{path} is no ONNX model that can be run: {_first_line(error)}") from None
    slots = tuple(_slot(entry) for entry in session.get_inputs())
    if input_name is not None and [slot.name for slot in slots] != [input_name]:
        known = [slot.name for slot in slots]
        raise InputError(
            f"{path.name} takes the inputs {', '.join(known)}, not {input_name!r} alone."
            f"{did_you_mean(input_name, known)}"
        )
    inputs = _inputs(slots, path.name) if inputs is None else inputs
    check_slots(slots, inputs)
    named = _classes(session, output_name, path.name) if classes is None else tuple(map(str, classes))
    meaning = Meaning(named, Output.named(output), output_name)
    sizes = {entry.shape[0] for entry in session.get_inputs() if entry.shape}
    fixed = min((size for size in sizes if isinstance(size, int)), default=None)
    return Target(
        name or path.name, OnnxModel(inputs, meaning, session, slots, fixed), f"ONNX file, gives {meaning.output}"
    )


def _slot(entry: Any) -> Slot:
    if entry.type not in DTYPES:
        raise InputError(f"The ONNX model takes {entry.type} in its input {entry.name!r}; only tensors can be filled.")
    return Slot(
        entry.name, DTYPES[entry.type], tuple(size if isinstance(size, int) else None for size in entry.shape[1:])
    )


def _inputs(slots: Sequence[Slot], file: str) -> Images | Table:
    """Read what one record looks like from the model's inputs."""
    dims = slots[0].dims or ()
    if len(slots) > 1:
        return Table(tuple(slot.name for slot in slots))
    if len(dims) == 3 and None not in dims:
        return Images((int(dims[0] or 0), int(dims[1] or 0), int(dims[2] or 0)))
    raise InputError(
        f"{file} does not say what its records are; give inputs=safelight.Images(shape), or "
        "inputs=safelight.Table(columns)."
    )


def _classes(session: Any, output_name: str | None, file: str) -> tuple[str, ...]:
    """Count the classes by the width of the model's outputs."""
    outputs = [entry for entry in session.get_outputs() if output_name in (None, entry.name)]
    widths = {entry.shape[1] for entry in outputs if entry.shape and len(entry.shape) == 2}
    width = max((size for size in widths if isinstance(size, int)), default=0)
    if width < 2:
        raise InputError(f"{file} does not say how many classes it has; give their names (classes).")
    return tuple(map(str, range(width)))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")[:200] + "."
