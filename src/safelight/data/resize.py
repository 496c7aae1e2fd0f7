"""Make pictures smaller by averaging the area that each new pixel covers."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError


def shrink(images: Array, size: tuple[int, int]) -> Array:
    """Return images (..., height, width) at `size` (height, width), in the same dtype.

    Each new pixel is the mean over the rectangle it covers; pixels that lie partly inside count by their share. Where
    the old size is a multiple of the new one, this is the mean of whole blocks.

    Raises:
        InputError: `size` is larger than the images or below 1.
    """
    height, width = images.shape[-2:]
    if not (1 <= size[0] <= height and 1 <= size[1] <= width):
        raise InputError(
            f"Pictures of {height} x {width} cannot be shrunk to {size[0]} x {size[1]}; "
            f"ask for at most {height} x {width}."
        )
    rows, columns = _shares(height, size[0]), _shares(width, size[1])
    return (rows @ images.astype(float) @ columns.T).astype(images.dtype)


def _shares(old: int, new: int) -> Array:
    """Return (new, old): how much of each old pixel goes into each new one; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    overlap = np.clip(overlap, 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)
