"""How scores of single records become one of the window: the most suspicious stretch up to now."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from safelight.guard.window import Window

NEAR = 0.693147
"""Surprise at a neighbour that half of normal records have as near: log 2."""
LENGTHS = (16, 32, 64, 128, 256, 512)


def stretch(values: Array, weights: Array | None = None, doubt: float = 32.0) -> float:
    """Return the largest weighted sum of the last m values over (sum of their weights + doubt); 0 for none.

    m is one of 16, 32, 64, ... and all. A stretch lets an attack show that begins after a long normal past; the doubt
    keeps a few odd records from counting like many.

    Args:
        values: (n,) of the records in the order in which they came; a normal one has about 0 or less.
        weights: (n,) in [0, 1]; 1 each when left out.
        doubt: records of value 0 that are thought to come before each stretch.
    """
    n = len(values)
    if n == 0:
        return 0.0
    if weights is None:
        sums, counts = values[::-1].cumsum(dtype=float), np.arange(1.0, n + 1)
    else:
        sums, counts = (values * weights)[::-1].cumsum(dtype=float), weights[::-1].cumsum(dtype=float)
    ends = [m - 1 for m in LENGTHS if m < n] + [n - 1]
    return float((sums[ends] / (counts[ends] + doubt)).max())


def unlike(window: Window) -> Array:
    """Return (n,) bool: records that lie no nearer to an earlier one than half of normal records do.

    What is counted over these alone is not counted frame by frame in a film.
    """
    return ~window.repeat & (window.near < NEAR)  # type: ignore[no-any-return]
