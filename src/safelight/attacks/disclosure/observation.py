"""One fact about what a model file holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Observation:
    """A fact that is counted, not estimated: it needs no interval and no control, and decides no verdict.

    Attributes:
        name: of the check, such as "small_leaves".
        value: what was counted; None where nothing could be.
        threshold: where the risk begins; None where there is none.
        risk: whether the file gives away what it should not; None where that cannot be told.
        sentence: the same in words.
    """

    name: str
    value: float | None
    threshold: float | None
    risk: bool | None
    sentence: str
