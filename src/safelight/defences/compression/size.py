"""How many bytes a file of a model needs, by the best of a few plain codes that give every weight back exactly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.defences.compression.estimators import has_weights, last_step, offsets_of, weights_of
from safelight.errors import InputError
from safelight.targets.base import Target

SCALE_BITS = 32
"""Each row of codes keeps its scale as one float32."""


def stored_bytes(module: Any) -> int:
    """Return the bytes that the weights and buffers of a torch module need, without names and headers.

    Each tensor takes the smallest of these, and every one of them is lossless: nothing has to be said of how a weight
    came to be.

    - dense, each value in its own type;
    - codes: where every row (first axis) is whole numbers of at most b bits times a scale, b bits a value and 32 bits a
      scale;
    - sparse: only what is not 0, in either of these ways, and where it stands: one bit a place, or its number.

    A tensor that appears twice is stored once.
    """
    seen: set[tuple[int, tuple[int, ...]]] = set()
    total = 0
    for tensor in module.state_dict().values():
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if tensor.numel() and place not in seen:
            seen.add(place)
            bits = 8 * tensor.element_size()
            values = tensor.detach().cpu()
            total += tensor_bytes(values.float().numpy() if values.is_floating_point() else values.numpy(), bits)
    return total


def tensor_bytes(values: Array, bits: int) -> int:
    """Return the bytes of the smallest code of a tensor whose values have so many bits each."""
    size, nonzero = values.size, int(np.count_nonzero(values))
    where = min(size, nonzero * max(1, math.ceil(math.log2(size))))
    needs = [size * bits, nonzero * bits + where]
    if values.ndim >= 2 and values.dtype.kind == "f":
        rows = values.reshape(len(values), -1)
        coded = code_bits(rows)
        if coded:
            scales = SCALE_BITS * int((rows != 0).any(axis=1).sum())
            needs += [size * coded + SCALE_BITS * len(rows), nonzero * coded + where + scales]
    return math.ceil(min(needs) / 8)


def code_bits(rows: Array) -> int:
    """Return the least b in 2..8 with every row whole numbers from -m to m times a scale, m = 2^(b-1) - 1.

    Rows must be float32 numbers. 0 where there is none.
    """
    if not np.array_equal(rows.astype(np.float32), rows):
        return 0
    rows = rows.astype(np.float32)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    for bits in range(2, 9):
        scale = largest / np.float32(2 ** (bits - 1) - 1)
        codes = np.rint(rows / np.where(scale > 0, scale, np.float32(1)))
        if np.array_equal(codes * scale, rows):
            return bits
    return 0


def size(target: Target) -> int:
    """Return the bytes that the weights of a torch target, a linear model or a perceptron need.

    Raises:
        InputError: it is something else.
    """
    net, fitted = (getattr(target.model, name, None) for name in ("net", "fitted"))
    if net is not None:
        return stored_bytes(net)
    if fitted is not None and has_weights(fitted):
        arrays = [np.asarray(part) for part in (*weights_of(fitted), *offsets_of(fitted))]
        return sum(tensor_bytes(part, 8 * part.itemsize) for part in arrays)
    kind = type(target.model if fitted is None else last_step(fitted)).__name__
    raise InputError(f"The bytes of a {kind} are not known; give a network, a linear model or a perceptron.")
