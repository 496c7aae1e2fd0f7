"""Lay records out as the named tensors that a served model or an ONNX file takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.targets.base import Images, Table

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class Slot:
    """One input of a model.

    Attributes:
        name: as the model calls it.
        dtype: what it takes; None for whatever the data has, object for text.
        dims: shape of one record, None where any length will do; None when nothing is known.
    """

    name: str
    dtype: Any = None
    dims: Dims | None = None


def check_slots(slots: Sequence[Slot], inputs: Images | Table) -> None:
    """Raise InputError when records that look like `inputs` do not fit into the model's inputs."""
    names = ", ".join(repr(slot.name) for slot in slots)
    if isinstance(inputs, Images):
        if len(slots) != 1:
            raise InputError(f"The model takes {len(slots)} inputs ({names}), but an image fills one; set input_name.")
        arrange(np.zeros((1, *inputs.shape), dtype=np.float32), slots[0].dims)
    elif len(slots) > 1:
        if {slot.name for slot in slots} != set(inputs.columns):
            raise InputError(
                f"The model takes the inputs {names}, but the table has the columns "
                f"{', '.join(map(repr, inputs.columns))}; rename the columns, or set input_name for one tensor of all."
            )
    elif slots[0].dims and slots[0].dims[-1] not in (None, len(inputs.columns)):
        raise InputError(
            f"The model takes {slots[0].dims[-1]} columns in its input {names}, but the table has "
            f"{len(inputs.columns)}; give the columns that it was trained on."
        )


def lay_out(x: Any, inputs: Images | Table, slots: Sequence[Slot]) -> dict[str, Array]:
    """Return the tensors of n records: images in one, a table in one of (n, columns) or in one (n, 1) a column.

    Args:
        x: images (n, channels, height, width), or a DataFrame with n rows.
        inputs: what x looks like.
        slots: the model's inputs, as `check_slots` passed them.

    Raises:
        InputError: a value is missing, or is not of the kind that the model takes.
    """
    if isinstance(inputs, Images):
        images = arrange(np.asarray(x, dtype=np.float32), slots[0].dims)
        dtype = np.dtype(slots[0].dtype or np.float32)
        return {slots[0].name: (np.rint(images) if dtype.kind in "iu" else images).astype(dtype)}
    frame = x[list(inputs.columns)]
    missing = [str(column) for column in frame.columns if frame[column].isna().any()]
    if missing:
        raise InputError(f"The column {missing[0]!r} holds missing values, which a tensor cannot carry; fill them.")
    if len(slots) == 1 and len(inputs.columns) != 1:
        return {slots[0].name: _cast(frame.to_numpy(), slots[0].dtype, f"The table for {slots[0].name!r}")}
    tensors = {}
    for slot, column in [(slot, slot.name if len(slots) > 1 else inputs.columns[0]) for slot in slots]:
        values = _cast(_plain(frame[column]), slot.dtype, f"The column {column!r}")
        tensors[slot.name] = values if slot.dims == () else values.reshape(-1, 1)
    return tensors


def arrange(images: Array, dims: Dims | None) -> Array:
    """Return images (n, c, h, w) in the shape that a model wants: as they are, flat, without channel, or channel last.

    Raises:
        InputError: none of these has the shape `dims`.
    """
    n, c, h, w = images.shape
    ways = [images.shape, (n, c * h * w), *([(n, h, w)] if c == 1 else [])]
    for shape in ways:
        if dims is None or _matches(shape[1:], dims):
            return images.reshape(shape)
    if _matches((h, w, c), dims or ()):
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    raise InputError(
        f"The model takes records of shape {_words(dims or ())}, but the images have shape {(c, h, w)}; "
        "give inputs the shape that the model was trained on."
    )


def _matches(shape: tuple[int, ...], dims: Dims) -> bool:
    return len(shape) == len(dims) and all(want is None or want == have for have, want in zip(shape, dims, strict=True))


def _words(dims: Dims) -> str:
    return "(" + ", ".join("any" if want is None else str(want) for want in dims) + ")"


def _plain(column: pd.Series) -> Array:
    """Return the values of one column as numbers, or else as text."""
    values = column.to_numpy()
    if values.dtype.kind in "iufb":
        return values
    if all(isinstance(value, Number) for value in values):
        return values.astype(float)
    return np.array([str(value) for value in values], dtype=object)


def _cast(values: Array, dtype: Any, what: str) -> Array:
    """Return the values in the type that the model takes, refusing what would change them."""
    if dtype is None:
        texts = sum(isinstance(value, str) for value in values.reshape(-1)) if values.dtype == object else 0
        if 0 < texts < values.size:
            raise InputError(f"{what} holds numbers and text, which one tensor cannot; leave input_name out.")
        dtype = object if texts else np.float64 if values.dtype == object else values.dtype
    if dtype is object:
        return np.array([str(value) for value in values.reshape(-1)], dtype=object).reshape(values.shape)
    try:
        cast = values.astype(dtype)
        same = np.dtype(dtype).kind == "f" or bool((cast == values.astype(float)).all())
    except (TypeError, ValueError):
        same = False
    if not same:
        raise InputError(f"{what} should hold {np.dtype(dtype).name} values for this model, but it holds others.")
    return cast
