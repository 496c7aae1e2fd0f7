"""How far from normal traffic the records lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.guard.reference import Reference
from safelight.guard.signals.evidence import stretch
from safelight.guard.window import Window


@dataclass(frozen=True)
class Distance:
    """Records that lie far from all normal ones: noise, records of another kind, a search that left the data.

    Each record counts minus the log of the share of normal records that lie as far from the nearest typical record; so
    that a few very odd records among many normal ones show, and many that are a little odd do, too. A record that lies
    near an earlier one counts less: a film of one odd thing is one odd thing.

    What it cannot see: records that are drawn from normal ones, and an attacker who searches among plausible records.
    Source: Fisher's method over ranks; distances to normal data as in PRADA, Juuti et al. 2019, arXiv:1805.02628.
    """

    name: ClassVar[str] = "distance from normal"
    spread: ClassVar[float] = 1.5
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = False

    def score(self, window: Window, reference: Reference) -> float:
        """Return the highest mean surprise of a stretch; 0 where it is that of normal records, at most 7."""
        return stretch(window.far - 1.0, window.news)
