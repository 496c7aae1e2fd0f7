"""How scores of single records become one of the window: the most suspicious stretch up to now."""

from __future__ import annotations

from numpy import ndarray as Array

LENGTHS = (16, 32, 64, 128, 256, 512)


def stretch(values: Array, doubt: float = 32.0) -> float:
    """Return the largest sum of the last m values over (m + doubt), m one of 16, 32, 64, ... and all; 0 for none.

    A stretch lets an attack show that begins after a long normal past; the doubt keeps a few odd records from counting
    like many.

    Args:
        values: (n,) of the records in the order in which they came; a normal one has about 0 or less.
        doubt: records of value 0 that are thought to come before each stretch.
    """
    n = len(values)
    if n == 0:
        return 0.0
    backwards = values[::-1].cumsum(dtype=float)
    best = backwards[-1] / (n + doubt)
    for m in LENGTHS:
        if m >= n:
            break
        best = max(best, backwards[m - 1] / (m + doubt))
    return float(best)
