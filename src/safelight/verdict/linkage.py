"""From linked pairs and conditions that single out to what a claim about a release measured."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import norm

from safelight.measures.base import Measurement
from safelight.measures.binomial import clopper_pearson
from safelight.measures.linkage_risk import isolated_share, linkage_risk, more_often_p, success_rate
from safelight.measures.permutation import membership_permutation_p
from safelight.verdict.levels import POWER, Policy
from safelight.verdict.outcome import Outcome

_CELLS = 2_000_000

Count = tuple[float, int]
"""Successes and attempts."""


def of_links(
    linked: Array, member: Array, blind: Array, level: float, policy: Policy, rng: Generator,
    person: Array | None = None,
) -> Outcome:  # fmt: skip
    """Judge links: are the two halves of records behind the release joined more often than those of other records?

    Args:
        linked: (n,) bool, of pairs that belong together; member: (n,) whether the release was made from the record.
        blind: (b,) bool, of pairs that do not belong together.
        person: (n,) whom a record is about, or None.

    p is the larger of two: by exchanging members and nonmembers, and by Fisher's exact test against the blind pairs.
    """
    main, control = _count(linked[member]), _count(linked[~member])
    draws = max(9999, math.ceil(10 / level))
    p = membership_permutation_p(linked.astype(float), member, rng, person, draws=draws)
    return _outcome("linked", main, control, _count(blind), p, level, policy)


def of_singling_out(
    name: str, holds: Array, member: Array, blind: Array, level: float, policy: Policy, rng: Generator
) -> Outcome:
    """Judge conditions: do more of them hold for exactly one record behind the release than for one of as many others?

    Args:
        name: of the measurement.
        holds: (p, n) bool, for which records each condition holds; member: (n,) as for links.
        blind: (b, n) the same of blind conditions.

    p is the larger of two: by dealing anew who is a member, which is exact although all conditions meet the same
    records, and by Fisher's exact test against the blind conditions.
    """
    inside, outside = int(member.sum()), int((~member).sum())
    main = _count(holds[:, member].sum(axis=1) == 1)
    luck = isolated_share(holds[:, ~member].sum(axis=1), outside, inside)
    p = _dealt_p(holds[:, holds.any(axis=0)], int(main[0]), inside, outside, rng, max(9999, math.ceil(10 / level)))
    return _outcome(name, main, (luck * len(holds), len(holds)),
                    _count(blind[:, member].sum(axis=1) == 1), p, level, policy)  # fmt: skip


def _outcome(name: str, main: Count, control: Count, blind: Count, p: float, level: float, policy: Policy) -> Outcome:
    low, high = clopper_pearson(int(main[0]), main[1], 1 - level)
    risk = linkage_risk(main, control, 1 - level)
    measured = (
        risk,
        Measurement(name, main[0] / main[1], low, high, control=control[0] / control[1]),
        Measurement("blind", blind[0] / blind[1]),
    )
    rates = [success_rate(*count)[0] for count in (main, control)]
    spread = math.sqrt(sum(rate * (1 - rate) / count[1] for rate, count in zip(rates, (main, control))))
    seen, wanted = (float(norm.isf(level)) + float(norm.ppf(POWER))) * spread, policy.look_for - 0.5
    settle = "" if seen <= wanted else (
        f"only a difference of {seen:.0%} would have been seen; more members and nonmembers would settle it"
    )  # fmt: skip
    against_blind = more_often_p((int(main[0]), main[1]), (int(blind[0]), blind[1]))
    return Outcome(max(p, against_blind), measured, risk.low or 0.0, seen <= wanted, settle)


def _dealt_p(holds: Array, alone: int, inside: int, outside: int, rng: Generator, draws: int) -> float:
    """Return how often at least `alone` conditions hold for exactly one member when membership is dealt anew.

    Args:
        holds: (p, u) bool, for the records that any condition holds for: how many of them are members is
            hypergeometric, and nothing else about the other records counts.
    """
    rows = holds.T.astype(np.float32)
    dealt = rng.hypergeometric(inside, outside, len(rows), size=draws)
    reached, turn = 0, max(1, _CELLS // max(rows.shape[0], rows.shape[1]))
    for start in range(0, draws, turn):
        places = rng.random((min(turn, draws - start), len(rows))).argsort(axis=1).argsort(axis=1)
        side = (places < dealt[start : start + turn, None]).astype(np.float32)
        reached += int(((np.round(side @ rows) == 1).sum(axis=1) >= alone).sum())
    return (1 + reached) / (1 + draws)


def _count(success: Array) -> Count:
    return float(success.sum()), len(success)
