"""Whether a class is climbed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.guard.reference import Reference
from safelight.guard.window import Window

LENGTHS = (32, 64, 128)
SHORTEST = 16
"""Records through which a line is laid."""


@dataclass(frozen=True)
class ClassAscent:
    """The score of one class, or the sureness of all answers, rises from call to call: a search that climbs.

    Over the last 32, 64 and 128 records a straight line is laid through each class's score, through its label as 0 and
    1 where no scores are, and through the log of the largest score over the second. What counts is how far the line
    rises, times the share of the variance that it explains. Scores are read as the model gave them, before anything was
    hardened.

    What it cannot see: a search that is sure of its class from the start, one that climbs more slowly than a window,
    and many classes climbed in turns of more than a window; a film that turns slowly into another class looks the same.
    Source: our own; the climb is that of Fredrikson et al. 2015 and Ilyas et al. 2018, arXiv:1804.08598.
    """

    name: ClassVar[str] = "class ascent"
    spread: ClassVar[float] = 0.05
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    doubt: float = 32.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the largest rise times the share that it explains, in [0, 1.5]."""
        heights = _heights(window)
        if len(heights) < SHORTEST:
            return 0.0
        lengths, rises = rise(heights)
        return float((rises * lengths / (lengths + self.doubt)).max())


def _heights(window: Window) -> Array:
    """Return (n, k + 1) float32: what may rise."""
    m = LENGTHS[-1]
    if window.scores.shape[1] and window.second[-m:].any():
        columns = window.scores[-m:]
    else:
        label = window.label[-m:]
        columns = label[:, None] == np.unique(label)
    heights = np.empty((len(columns), columns.shape[1] + 1), np.float32)
    heights[:, :-1] = columns
    np.divide(window.margin[-m:], 10, out=heights[:, -1], casting="unsafe")
    return heights


def rise(heights: Array) -> tuple[Array, Array]:
    """Return the lengths (l,) of stretches, and of each the largest rise of a line times the variance it explains.

    Args:
        heights: (m, k) float32 in [0, 1]; m >= 16. Least squares, over the last 32, 64 and 128 of them.
    """
    along, ones, lengths = _lines(len(heights))
    norm = (along * along).sum(axis=1, keepdims=True)
    sums = ones @ heights
    total = ones @ (heights * heights) - sums * sums / lengths[:, None]
    slope = np.maximum(along @ heights, 0) / norm
    explained = np.minimum(slope * slope * norm / np.maximum(total, 1e-5), 1)
    return lengths, (slope * explained).max(axis=1)


@cache
def _lines(m: int) -> tuple[Array, Array, Array]:
    """Return (l, m) each: stretches as lines from -0.5 to 0.5, and as ones, both 0 before them; and (l,) lengths."""
    lengths = sorted({min(m, length) for length in LENGTHS})
    along, ones = np.zeros((2, len(lengths), m), np.float32)
    for row, length in enumerate(lengths):
        along[row, m - length :], ones[row, m - length :] = np.linspace(-0.5, 0.5, length), 1
    return along, ones, np.array(lengths, np.float32)
