"""A number together with the chance of one at least as strong when nothing leaks."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.measures.base import Measurement


@dataclass(frozen=True)
class Tested:
    """A measurement and its one-sided p-value.

    Attributes:
        measurement: the number.
        p: in (0, 1], before any correction; None when the number could not be measured.
    """

    measurement: Measurement
    p: float | None
