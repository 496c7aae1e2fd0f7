"""Whether records crowd together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class Neighbours:
    """Near duplicates and neighbourhoods: records that lie closer to earlier ones than normal records do.

    Each record counts minus the log of the share of normal records that have as near a neighbour among 128 others. The
    very same record again does not count here.

    What it cannot see: calls spread over many clients, or over more records than a window holds. Films and repeated
    measurements look the same; calibrated on such traffic it is blind to what they would hide.
    Source: Chen et al. 2019, arXiv:1907.05587, section 3; Li et al. 2022, arXiv:2006.14042 (Blacklight).
    """

    name: ClassVar[str] = "near duplicates"
    spread: ClassVar[float] = 0.3
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest mean surprise of a stretch; 0 where it is that of normal records, at most 7."""
        return stretch(window.near - 1.0)
