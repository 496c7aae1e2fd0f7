"""How well scores tell members from nonmembers: AUC, TPR at a low FPR, and the curve between."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.measures.binomial import SMALLEST_P
from safelight.measures.bootstrap import Units, binomial_limits, percentile_interval, units_of
from safelight.measures.permutation import membership_p
from safelight.measures.tested import Tested
from safelight.measures.threshold import above_threshold_p, allowed
from safelight.measures.weighted_roc import Ranked, ranked

_LARGE = 50
"""From this many records a side, the normal approximation of the rank sum is used for p."""


def auc(member_scores: Array, nonmember_scores: Array) -> float:
    """Return the chance that a member scores above a nonmember, ties counting half.

    Args:
        member_scores: (m,), higher means "member"; infinities are allowed.
        nonmember_scores: (n,).

    Returns:
        AUC in [0, 1].

    Raises:
        InputError: a side is empty or a score is NaN.
    """
    pool, member = _pool(member_scores, nonmember_scores)
    return float(pool.auc(member[None], 1.0 - member[None])[0])


def auc_interval(
    member_scores: Array,
    nonmember_scores: Array,
    rng: Generator,
    member_groups: Array | None = None,
    nonmember_groups: Array | None = None,
    draws: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the AUC; members and nonmembers are both drawn again.

    Args:
        member_scores, nonmember_scores: as for `auc`.
        rng: the source of the draws.
        member_groups, nonmember_groups: (m,), (n,) the person of each record, both or neither; then whole persons are
            drawn.
        draws: number of bootstrap draws.
        confidence: e.g. 0.95.

    Returns:
        (low, high) in [0, 1]. Where all draws agree (an AUC of 1), Clopper-Pearson limits of as many pairs as the
        smaller side has persons.

    Raises:
        InputError: a side is empty, a score is NaN, or groups do not fit.
    """
    pool, member = _pool(member_scores, nonmember_scores)
    units = units_of(len(member), _groups(member, member_groups, nonmember_groups), member > 0.0)
    low, high = percentile_interval(
        lambda weights: pool.auc(weights * member, weights * (1.0 - member)), units, rng, draws, confidence
    )
    if low == high:
        pairs = min(_persons(units, member > 0.0), _persons(units, member == 0.0))
        low, high = binomial_limits(auc(member_scores, nonmember_scores), pairs, confidence)
    return float(low), float(high)


def auc_p(
    member_scores: Array,
    nonmember_scores: Array,
    rng: Generator,
    member_groups: Array | None = None,
    nonmember_groups: Array | None = None,
    draws: int = 4999,
) -> float:
    """Return the one-sided p of the AUC against one half (Mann and Whitney 1947).

    With persons: by shuffling membership over persons. Else from 50 records a side: the normal approximation with
    ties and continuity corrected; below: exact without ties, by shuffling with ties.

    Args:
        member_scores, nonmember_scores: as for `auc`.
        rng: the source of the shuffles.
        member_groups, nonmember_groups: as for `auc_interval`.
        draws: number of shuffles.

    Returns:
        p in (0, 1].

    Raises:
        InputError: a side is empty, a score is NaN, or groups do not fit.
    """
    pool, member = _pool(member_scores, nonmember_scores)
    groups = _groups(member, member_groups, nonmember_groups)
    ties = bool(np.any(pool.last - pool.first[:-1] > 1))
    sizes = int(member.sum()), int(len(member) - member.sum())
    if groups is None and (min(sizes) >= _LARGE or not ties):
        return _rank_sum_p(pool, member, exact=min(sizes) < _LARGE)
    return membership_p(lambda side: pool.auc(side, 1.0 - side), member > 0.0, rng, groups, draws=draws)


def tpr_at_fpr(
    member_scores: Array,
    nonmember_scores: Array,
    fpr: float,
    rng: Generator,
    member_groups: Array | None = None,
    nonmember_groups: Array | None = None,
    draws: int = 1000,
    shuffles: int = 4999,
    confidence: float = 0.95,
) -> Tested:
    """Return the share of members above a threshold that at most `fpr` of the nonmembers pass.

    The threshold is the (r + 1)-th highest nonmember, r = floor(fpr * n); only members strictly above it count.
    The interval is a percentile bootstrap of both sides, never narrower than Clopper-Pearson limits over the members'
    persons. The p is the upper tail of BetaBinomial(m, r + 1, n - r), since the threshold is itself one of the scores;
    where a person has several records, it comes from shuffling membership over persons.

    Args:
        member_scores: (m,), higher means "member"; infinities are allowed.
        nonmember_scores: (n,).
        fpr: in (0, 1).
        rng: the source of the draws.
        member_groups, nonmember_groups: as for `auc_interval`.
        draws: number of bootstrap draws.
        shuffles: number of shuffles, where p needs them.
        confidence: of the interval, e.g. 0.95.

    Returns:
        `tpr_at_fpr_<fpr>` with floor 1 / n and control `fpr`, and its p. Value and p are None when fpr < 1 / n.

    Raises:
        InputError: a side is empty, a score is NaN, fpr is outside (0, 1), or groups do not fit.
    """
    if not 0.0 < fpr < 1.0:
        raise InputError(f"fpr must lie between 0 and 1, e.g. 0.01, and it is {fpr}.")
    pool, member = _pool(member_scores, nonmember_scores)
    groups = _groups(member, member_groups, nonmember_groups)
    members, nonmembers = int(member.sum()), int(len(member) - member.sum())
    name, floor, r = f"tpr_at_fpr_{fpr:g}", 1.0 / nonmembers, allowed(fpr, nonmembers)
    if r < 1:
        return Tested(Measurement(name, None, floor=floor, control=fpr), None)

    def statistic(inside: Array, outside: Array) -> Array:
        return pool.tpr(inside, outside, np.array([fpr]))[:, 0]

    value = float(statistic(member[None], 1.0 - member[None])[0])
    units = units_of(len(member), groups, member > 0.0)
    low, high = _band(pool, member, units, np.array([fpr]), np.array([value]), rng, draws, confidence)
    if len(np.unique(units.codes)) == len(member):
        p = float(above_threshold_p(round(value * members), members, r, nonmembers))
    else:
        p = membership_p(lambda side: statistic(side, 1.0 - side), member > 0.0, rng, groups, draws=shuffles)
    return Tested(Measurement(name, value, float(low[0]), float(high[0]), floor, fpr), p)


def roc_points(
    member_scores: Array,
    nonmember_scores: Array,
    rng: Generator,
    member_groups: Array | None = None,
    nonmember_groups: Array | None = None,
    points: int = 60,
    draws: int = 500,
    confidence: float = 0.95,
) -> tuple[Array, Array, Array, Array]:
    """Return the curve for a log-log plot, with a pointwise band made as in `tpr_at_fpr`.

    Args:
        member_scores, nonmember_scores, rng, member_groups, nonmember_groups: as for `auc_interval`.
        points: number of rates, evenly spaced on the log axis.
        draws: number of bootstrap draws.
        confidence: of each point's interval.

    Returns:
        fpr, tpr, low, high, each (points,); fpr rises from 1 / n, below which nothing is measured, to 1.

    Raises:
        InputError: a side is empty, a score is NaN, or groups do not fit.
    """
    pool, member = _pool(member_scores, nonmember_scores)
    units = units_of(len(member), _groups(member, member_groups, nonmember_groups), member > 0.0)
    fpr = np.geomspace(1.0 / (len(member) - member.sum()), 1.0, points)
    tpr = pool.tpr(member[None], 1.0 - member[None], fpr)[0]
    low, high = _band(pool, member, units, fpr, tpr, rng, draws, confidence)
    return fpr, tpr, low, high


def _band(
    pool: Ranked, member: Array, units: Units, fpr: Array, tpr: Array, rng: Generator, draws: int, confidence: float
) -> tuple[Array, Array]:
    low, high = percentile_interval(
        lambda weights: pool.tpr(weights * member, weights * (1.0 - member), fpr), units, rng, draws, confidence
    )
    least, most = binomial_limits(tpr, _persons(units, member > 0.0), confidence)
    return np.fmin(low, least), np.fmax(high, most)


def _rank_sum_p(pool: Ranked, member: Array, exact: bool) -> float:
    from scipy.stats import mannwhitneyu

    if pool.last[0] == len(member):
        return 1.0
    places = -(pool.first[:-1] + pool.last).astype(np.float64)
    inside = member[pool.order] > 0.0
    method = "exact" if exact else "asymptotic"
    p = float(mannwhitneyu(places[inside], places[~inside], alternative="greater", method=method).pvalue)
    return min(max(p, SMALLEST_P), 1.0)


def _pool(member_scores: Array, nonmember_scores: Array) -> tuple[Ranked, Array]:
    """Return both sides as one ranking, and who is a member, (n,) of 0.0 and 1.0."""
    sizes = np.shape(member_scores), np.shape(nonmember_scores)
    if len(sizes[0]) != 1 or len(sizes[1]) != 1 or not sizes[0][0] or not sizes[1][0]:
        raise InputError(f"both sides need one row of scores, and they have shapes {sizes[0]} and {sizes[1]}.")
    member = np.concatenate([np.ones(sizes[0]), np.zeros(sizes[1])])
    return ranked(np.concatenate([member_scores, nonmember_scores])), member


def _groups(member: Array, member_groups: Array | None, nonmember_groups: Array | None) -> Array | None:
    if member_groups is None and nonmember_groups is None:
        return None
    if member_groups is None or nonmember_groups is None:
        raise InputError("persons are given for one side only: give both, or neither.")
    members = int(member.sum())
    if np.shape(member_groups) != (members,) or np.shape(nonmember_groups) != (len(member) - members,):
        raise InputError(
            f"groups must name one person a record: {members} and {len(member) - members} records, and groups of"
            f" shapes {np.shape(member_groups)} and {np.shape(nonmember_groups)}."
        )
    return np.concatenate([member_groups, nonmember_groups])


def _persons(units: Units, rows: Array) -> int:
    return len(np.unique(units.codes[rows]))
