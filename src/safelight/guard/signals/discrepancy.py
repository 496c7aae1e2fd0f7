"""Whether what the model calls a class looks as that class does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.guard.reference import CLIP, Reference
from safelight.guard.signals.evidence import unlike
from safelight.guard.window import Window

PLAUSIBLE = 2.302585
"""Surprise at how far a record lies that one in ten normal records exceeds: log 10."""
LEAST = 3
"""Records of a class that say where it lies."""


@dataclass(frozen=True)
class ClassDiscrepancy:
    """Records that are plausible one by one, and together are not what normal records of their classes are.

    For each answered class, the squared Frechet distance between two normal distributions with independent directions:
    that of the client's sketches and that of normal ones, less what chance adds to it for as few records. The log of
    one plus its mean over directions is averaged over classes, by their number of records. Records that lie near an
    earlier one, or farther off than nine of ten normal ones, are left out: other signals look at those.

    What it cannot see: real records of the usual kinds, records that are far off or near copies, classes of fewer than
    three records, and models of more than 64 classes. Clients whose records of a class are of a kind of their own look
    the same, if no such clients were in the traffic of the calibration.
    Source: Mei et al. 2025, arXiv:2503.12497; directions taken as independent, and what is left out, are our own.
    """

    name: ClassVar[str] = "class discrepancy"
    spread: ClassVar[float] = 0.1  # a class that has moved by a third of a deviation in every direction
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    doubt: float = 32.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the weighted mean over classes, times n / (n + doubt) for n records that count; 0 for none."""
        means, spreads = reference.class_means, reference.class_spreads
        rows = unlike(window) & (window.far < PLAUSIBLE) & (window.label < len(means))
        label = window.label[rows].astype(np.int64)
        z = np.minimum(np.maximum(window.z[rows].astype(np.float32), -CLIP), CLIP)
        counts = np.bincount(label, minlength=len(means))
        used = np.flatnonzero((counts >= LEAST) & spreads.any(axis=1))
        if not len(used):
            return 0.0
        apart = discrepancies(z, label, used, means[used], spreads[used])
        n = counts[used]
        return float((n * np.log1p(np.maximum(apart, 0.0) / z.shape[1])).sum() / (n.sum() + self.doubt))


def discrepancies(z: Array, label: Array, classes: Array, means: Array, spreads: Array) -> Array:
    """Return (c,) squared Frechet distances, less the variance of the mean that chance adds.

    Args:
        z: (n, p) sketches.
        label: (n,) their classes.
        classes: (c,) that are compared, each with two records at the least.
        means, spreads: (c, p) of normal records of each.
    """
    mine = (label == classes[:, None]).astype(np.float32)
    n = mine.sum(axis=1)[:, None]
    mean = mine @ z / n
    variance = np.maximum(mine @ (z * z) / n - mean * mean, 0.0) * n / (n - 1)
    moved = (mean - means) ** 2 - spreads**2 / n
    return (moved + (np.sqrt(variance) - spreads) ** 2).sum(axis=1)  # type: ignore[no-any-return]
