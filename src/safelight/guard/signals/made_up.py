"""Whether records look made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class MadeUp:
    """Records that look made up: too smooth, too typical in some directions and too odd in others.

    Calibration makes up records from normal ones as searching attackers do (principal components, means, crossings),
    and learns what tells them apart: the energy in coarse and fine directions, that of the steps from value to value,
    the contrast, the distance from typical records. Noise counts as normal, and near copies count less.

    What it cannot see: attackers who ask about real records, and those whose generator is better than these.
    Source: our own; that generated queries are told from natural ones: Juuti et al. 2019, arXiv:1805.02628, section 5.
    """

    name: ClassVar[str] = "made-up records"
    spread: ClassVar[float] = 0.3
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest mean surprise of a stretch; 0 where it is that of normal records, at most 7."""
        return stretch(window.made - 1.0, window.news)
