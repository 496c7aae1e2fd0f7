"""Whether other classes are asked about than usually."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import unlike
from safelight.guard.window import Window


@dataclass(frozen=True)
class LabelMix:
    """Other classes than normal clients get, or all of them alike where some are rare: a sweep over classes.

    It is the divergence of Jensen and Shannon between the answered classes and those of normal traffic, in nats: 0
    where they are the same, log 2 where no class is in both. Records that lie near an earlier one are left out.

    What it cannot see: an attack on classes in their usual shares, clients that are about one class alone when other
    such clients were in the traffic of the calibration, and models of more than 64 classes.
    Source: Lin 1991, IEEE Trans. Inf. Theory 37(1), for the divergence; its use here is our own.
    """

    name: ClassVar[str] = "label mix"
    spread: ClassVar[float] = 0.1
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    doubt: float = 32.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the divergence times n / (n + doubt) for n records, in [0, log 2]."""
        usual = reference.mix
        label = window.label[unlike(window)]
        counts = np.bincount(label[label < len(usual)].astype(np.int64), minlength=len(usual))
        n = float(counts.sum())
        return apart(counts / n, usual) * n / (n + self.doubt) if n else 0.0


def apart(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon divergence of two distributions (c,), in nats."""
    both = np.maximum((p + q) / 2, 1e-12)
    return float((p * np.log(np.maximum(p, 1e-12) / both) + q * np.log(np.maximum(q, 1e-12) / both)).sum()) / 2
