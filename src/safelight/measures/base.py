"""What a measure gives back: a number that carries its interval, its floor and its control."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One measured number.

    Attributes:
        name: from the vocabulary in docs (auc, tpr_at_fpr_0.01, mu, coins_correct, rank1, ...).
        value: the estimate; None when the data cannot carry a digit.
        low, high: ends of its interval, None where there is none.
        floor: the smallest value that this data could have told from none.
        control: the same number where nothing can leak.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    control: float | None = None
