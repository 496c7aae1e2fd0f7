"""Numbers as people say them: "about 3 in 100", "3 of 4", "at most 1 in 10,000"."""

from __future__ import annotations

import math
from fractions import Fraction

UNKNOWN = "not measurable"
"""What stands where the data cannot carry a digit."""


def in_100(rate: float | None) -> str:
    """Say a rate in [0, 1] as a count of 100 (or of 1,000 or 10,000 where it is smaller than one in a hundred)."""
    if rate is None or not math.isfinite(rate):
        return UNKNOWN
    if rate <= 0:
        return "0 in 100"
    if rate < 1e-4:
        return "fewer than 1 in 10,000"
    if rate < 0.01:
        whole = 1000 if rate >= 1e-3 else 10_000
        return f"{round(rate * whole)} in {whole:,}"
    if 0.995 < rate < 1:
        return "more than 99 in 100"
    return f"{round(100 * rate)} in 100"


def between(low: float | None, high: float | None) -> str:
    """Say an interval of rates: "between 15 and 23 in 100"; "" when there is none."""
    if low is None or high is None:
        return ""
    return f"between {_of_hundred(low)} and {_of_hundred(high)} in 100"


def luck(p: float) -> str:
    """Say a p-value as a frequency, rounded up: "at most 1 in 10,000"."""
    for times in (1_000_000, 100_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20):
        if p <= 1 / times:
            return "at most 1 in a million" if times == 1_000_000 else f"at most 1 in {times:,}"
    return f"about {min(100, math.ceil(100 * p))} in 100"


def of(rate: float) -> str:
    """Say a share as a small fraction where one fits: 0.75 is "3 of 4", 0.663 is "66 of 100"."""
    close = Fraction(rate).limit_denominator(10)
    if abs(float(close) - rate) > 0.001:
        return f"{round(100 * rate)} of 100"
    return f"{close.numerator} of {close.denominator}"


def count(value: float) -> str:
    """Write a count with a comma every three digits; a count that is no whole number keeps one decimal."""
    return f"{value:,.0f}" if abs(value - round(value)) < 0.05 else f"{value:,.1f}"


def percent(rate: float | None) -> str:
    """Write a rate as a percentage, with a decimal only near 0 and 1: "19%", "0.6%", "99.6%"."""
    if rate is None or not math.isfinite(rate):
        return UNKNOWN
    if 0 < rate < 0.0005:
        return "below 0.1%"
    fine = 0 < rate < 0.01 or 0.99 < rate < 1
    return f"{100 * rate:.1f}%" if fine else f"{100 * rate:.0f}%"


def number(value: float | None) -> str:
    """Write a plain number with about three digits."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.1g}"
    return f"{value:.2f}"


def several(value: float, one: str, many: str = "") -> str:
    """Write a count with its noun: "1 picture", "2 pictures"."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def sentence(text: str) -> str:
    """Start with a capital and end with a full stop; "" stays ""."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."


def bare(text: str) -> str:
    """Take the last full stop away, so that a sentence can stand inside another one."""
    return text.strip().rstrip(".")


def _of_hundred(rate: float) -> str:
    hundred = 100 * rate
    return f"{hundred:.1f}" if 0 < hundred < 1 or 99 < hundred < 100 else f"{hundred:.0f}"
