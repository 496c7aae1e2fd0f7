"""Whether records are those that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class TrainingHits:
    """Records that are, or nearly are, training records: membership is asked about records that one suspects inside.

    The guard holds no training record, only keyed hashes of coarse sketches of them, if calibration was given some. A
    record counts the share of its four hashes that a training record has.

    What it cannot see: anything, where calibration was given no training records; and a client whose own records are in
    the training data for good reason, if others of its kind were in the traffic of the calibration.
    Source: our own; sketches by Gionis, Indyk and Motwani 1999, VLDB (locality-sensitive hashing).
    """

    name: ClassVar[str] = "training records"
    spread: ClassVar[float] = 0.2
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest mean share of hashes of a stretch, in [0, 1]."""
        return stretch(window.hit)
