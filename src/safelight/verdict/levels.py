"""Levels, the family and the nulls: the one place that decides.

Every claim of an audit belongs to one family, tested at `Policy.alpha` by Holm's method. Bounds are given at
1 - alpha / claims. The rungs of the sanity ladder where nothing can leak are a family of their own, tested one-sided
at `RUNG_LEVEL` by Holm's method: one that fails means that the audit itself is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from safelight.errors import InputError
from safelight.verdict.finding import Status, Verdict

RUNG_LEVEL = 0.001
POWER = 0.8
LOOK_FOR_TPR = 0.05
LOOK_FOR_FPR = 0.01


@dataclass(frozen=True)
class Policy:
    """What the owner of the model accepts.

    Attributes:
        fail_on: "leak", or "unclear" to fail on both.
        alpha: chance in (0, 0.5) of any false alarm in the whole audit.
        tolerate: a leak counts only when its lower bound is above this, in the claim's own unit (mu for coins, TPR
            above FPR for membership, share of secrets for attributes and records); 0 lets the p-value alone decide.
        look_for: the strength that "no leak found" must have been able to see: an attack right on this share of
            two-candidate secrets, in (0.5, 1]. For membership on a given split it is a TPR of 5 % at 1 % FPR.
    """

    fail_on: Literal["leak", "unclear"] = "leak"
    alpha: float = 0.01
    tolerate: float = 0.0
    look_for: float = 0.75

    def __post_init__(self) -> None:
        if self.fail_on not in ("leak", "unclear"):
            raise InputError(f'fail_on is {self.fail_on!r}; use "leak" or "unclear".')
        if not 0 < self.alpha < 0.5:
            raise InputError(f"alpha is {self.alpha}; use a number between 0 and 0.5, such as 0.01.")
        if self.tolerate < 0:
            raise InputError(f"tolerate is {self.tolerate}; use 0 or more.")
        if not 0.5 < self.look_for <= 1:
            raise InputError(f"look_for is {self.look_for}; use a share above 0.5 and at most 1, such as 0.75.")

    def level(self, claims: int) -> float:
        """Return the level of one claim in a family of `claims` (Bonferroni): for bounds and for planning."""
        return self.alpha / max(1, claims)


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p-values adjusted by Holm 1979: valid for the whole family under any dependence."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted = [0.0] * len(ps)
    least = 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, (len(ps) - place) * ps[i]))
        adjusted[i] = least
    return adjusted


def rungs_hold(ps: Sequence[float]) -> list[bool]:
    """Return for each null rung whether it stands where it must: no more right guesses than chance gives."""
    return [p > RUNG_LEVEL for p in holm(ps)]


def decide(adjusted: float, bound: float, powered: bool, policy: Policy) -> Status:
    """Decide one claim.

    Args:
        adjusted: p after Holm.
        bound: lower bound of the leak, in the claim's unit.
        powered: whether the claim had 80 % power against `policy.look_for`.
    """
    if adjusted <= policy.alpha and (policy.tolerate == 0 or bound > policy.tolerate):
        return Status.LEAK
    return Status.NONE if powered else Status.UNCLEAR


def verdict_of(statuses: Sequence[Status], broken: bool, incomplete: bool) -> Verdict:
    """Return the first that holds of: audit broken, leak, incomplete, unclear, no leak found.

    An audit in which nothing could be run has found nothing out: it is unclear.
    """
    if broken:
        return Verdict.BROKEN
    if Status.LEAK in statuses:
        return Verdict.LEAK
    if incomplete:
        return Verdict.INCOMPLETE
    if Status.UNCLEAR in statuses or Status.NONE not in statuses:
        return Verdict.UNCLEAR
    return Verdict.NONE
