"""Which directions records vary in, and parts of them that lie in directions of their own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.guard.reference import MOST_FIELDS

SKETCH = 24
"""Directions of a sketch."""
DIRECTIONS = ("mean", "spread", "axes", "sizes", "width", "bands", "centres")
FOLDS = 4
"""Parts of the records, each judged by what was learnt from the others."""


@dataclass(frozen=True)
class Centres:
    """Which part a record goes to: that of the nearest of some centres, in a few principal components."""

    mean: Array
    turn: Array
    centres: Array
    part: Array

    def parts(self, x: Array) -> Array:
        """Return (n,) the part of each record (n, d)."""
        at = (x - self.mean) @ self.turn
        apart = (self.centres**2).sum(axis=1) - 2 * at @ self.centres.T
        return self.part[apart.argmin(axis=1)]  # type: ignore[no-any-return]


def directions(x: Array, q: int, rng: Generator) -> dict[str, Any]:
    """Return the parts of a reference that say how records x (n, d) vary, along q directions."""
    mean, spread = _standard(x)
    axes, sizes = _axes((x - mean) / spread, q)
    width = min(SKETCH, len(sizes))
    bands = np.unique([0, min(8, len(sizes)), width, len(sizes)])
    z = np.clip((x - mean) / spread @ axes[:width].T / sizes[:width], -250, 250)
    return {"mean": mean, "spread": spread, "axes": axes, "sizes": sizes, "width": width, "bands": bands,
            "centres": _centres(z, rng)}  # fmt: skip


def folds(x: Array, rng: Generator) -> tuple[Array, Centres]:
    """Return (n,) which of `FOLDS` parts each record is in, and how others are placed; like records go together."""
    mean, spread = _standard(x)
    axes, _ = _axes((x[:1000] - mean) / spread, min(12, x.shape[1]))
    turn = (axes / spread).T
    count = max(FOLDS, min(400, len(x) // 4))
    centres, place = _clusters((x - mean) @ turn, count, rng)
    counts, part, totals = np.bincount(place, minlength=count), np.empty(count, int), np.zeros(FOLDS)
    for cluster in rng.permutation(count):
        part[cluster] = totals.argmin()
        totals[part[cluster]] += counts[cluster]
    return part[place], Centres(mean, turn, centres, part)


def _standard(x: Array) -> tuple[Array, Array]:
    mean, spread = x.mean(axis=0), x.std(axis=0)
    floor = 0.25 * float(np.sqrt((spread**2).mean())) if x.shape[1] > MOST_FIELDS else 1e-6
    return mean, np.where(spread > floor, spread, max(floor, 1e-6))


def _axes(u: Array, q: int) -> tuple[Array, Array]:
    _, sizes, axes = np.linalg.svd(u, full_matrices=False)
    sizes = sizes / np.sqrt(len(u))
    return axes[:q], np.maximum(sizes[:q], max(1e-3 * sizes[0], 1e-9))


def _centres(z: Array, rng: Generator) -> Array:
    centres, place = _clusters(z, int(np.clip(len(z) // 8, 1, 256)), rng)
    return centres[np.unique(place)]  # type: ignore[no-any-return]


def _clusters(x: Array, count: int, rng: Generator) -> tuple[Array, Array]:
    """Return centres (count, d), and which is the nearest to each record (n,); an empty one stays where it began."""
    from scipy.cluster.vq import kmeans2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return kmeans2(x.astype(float), count, iter=10, minit="points", rng=rng)  # type: ignore[no-any-return]
