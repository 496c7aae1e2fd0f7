"""Whether the same record comes again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class Repeats:
    """The very same record again: to average out noise that a defence adds, or to wait for a new model.

    What it cannot see: a repetition with any change, and one after more records than a window holds.
    Source: Chen et al. 2019, arXiv:1907.05587, section 3.
    """

    name: ClassVar[str] = "exact repeats"
    spread: ClassVar[float] = 0.35
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest share of repetitions in a stretch, in [0, 1]."""
        return stretch(window.repeat)
