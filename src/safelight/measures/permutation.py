"""P-values by shuffling who was in, or which candidate is the true one. One is always added, so that none is 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.measures.bootstrap import group_codes

_CELLS = 2_000_000
_SLACK = 1e-11
"""Sums in another order may differ by rounding: a shuffle that falls short by no more counts as equal."""


def membership_permutation_p(
    values: Array,
    member: Array,
    rng: Generator,
    groups: Array | None = None,
    strata: Array | None = None,
    draws: int = 999,
) -> float:
    """Return the one-sided p of mean(members) - mean(nonmembers) under shuffled membership.

    Args:
        values: (n,) finite numbers; higher speaks for membership.
        member: (n,) bool, both sides present.
        rng: the source of the shuffles.
        groups: (n,) the person of each row. Persons on one side change sides as a whole; a person with rows on both
            sides has these rows shuffled among themselves.
        strata: (n,), e.g. the class; membership is shuffled only inside a stratum. A person on one side must lie in
            one stratum.
        draws: number of shuffles, at least 1.

    Returns:
        p in (0, 1], at least 1 / (draws + 1).

    Raises:
        InputError: shapes do not fit, a value is not finite, a side is empty, or a person crosses strata.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("values must be one row of finite numbers: use ranks where some are infinite.")
    scaled = values - values.mean()
    scaled /= max(np.abs(scaled).max(initial=0.0), 1e-300)
    side_of, levels = np.asarray(member, dtype=bool), np.unique(scaled)
    if groups is None and strata is None and len(levels) <= _FEW and side_of.shape == scaled.shape:
        return _few_levels_p(scaled, levels, side_of, rng, draws)

    def gap(side: Array) -> Array:
        members = side.sum(axis=1)
        inside = side @ scaled
        return inside / members - (scaled.sum() - inside) / (len(scaled) - members)

    return membership_p(gap, member, rng, groups, strata, draws)


_FEW = 12


def _few_levels_p(values: Array, levels: Array, member: Array, rng: Generator, draws: int) -> float:
    """Return the same p where values repeat: which of them the members get is multivariate hypergeometric."""
    _two_sides(member)
    counts = (values[:, None] == levels).sum(axis=0)
    drawn = rng.multivariate_hypergeometric(counts, int(member.sum()), size=draws, method="marginals")
    reached = drawn @ levels >= values[member].sum() - 1e-9 * len(values)
    return float((1 + np.count_nonzero(reached)) / (1 + draws))


def membership_p(
    statistic: Callable[[Array], Array],
    member: Array,
    rng: Generator,
    groups: Array | None = None,
    strata: Array | None = None,
    draws: int = 999,
) -> float:
    """Return the one-sided p of any statistic of membership, large when members stand out.

    Args:
        statistic: membership (d, n) of 0.0 and 1.0 -> values (d,), of the order of 1.
        member, rng, groups, strata, draws: as for `membership_permutation_p`.

    Returns:
        p in (0, 1], at least 1 / (draws + 1).

    Raises:
        InputError: shapes do not fit, a side is empty, or a person crosses strata.
    """
    member = np.asarray(member, dtype=bool)
    _two_sides(member)
    least = float(statistic(member[None].astype(np.float64))[0]) - _SLACK
    reached = sum(int(np.sum(statistic(side) >= least)) for side in shuffled(member, rng, groups, strata, draws))
    return (1 + reached) / (draws + 1)


def _two_sides(member: Array) -> None:
    if member.ndim != 1 or member.all() or not member.any():
        raise InputError(f"both sides need a row: {int(member.sum())} of {member.size} rows are members.")


def shuffled(member: Array, rng: Generator, groups: Array | None, strata: Array | None, draws: int) -> Iterator[Array]:
    """Yield shuffled memberships as 0.0 and 1.0, (some draws, n) at a time, `draws` in all."""
    n = len(member)
    person = group_codes(n, groups)
    stratum = np.zeros(n, dtype=np.int64) if strata is None else group_codes(n, strata)
    share = np.bincount(person, weights=member) / np.bincount(person)
    both = ((share > 0.0) & (share < 1.0))[person]
    if strata is not None and groups is not None:
        _refuse_crossing(person[~both], stratum[~both])
    # A unit changes sides as a whole: a person on one side, or one row of a person on both.
    unit = np.unique(np.where(both, person.max() + 1 + np.arange(n), person), return_inverse=True)[1].reshape(-1)
    row = np.unique(unit, return_index=True)[1]
    home = np.stack([np.where(both, person, -1), stratum], axis=1)[row]
    pool = np.unique(home, axis=0, return_inverse=True)[1].reshape(-1)
    side, by_pool = member[row].astype(np.float64), np.argsort(pool, kind="stable")
    turn = max(1, _CELLS // n)
    for start in range(0, draws, turn):
        keys = pool + rng.random((min(turn, draws - start), len(row)))
        fresh = np.empty_like(keys)
        fresh[:, by_pool] = side[np.argsort(keys, axis=1)]
        yield fresh[:, unit]


def rank_p(similarity: Array, truth: int) -> float:
    """Return the conformal p of one target: (1 + decoys at or above the truth) / candidates.

    Args:
        similarity: (k,) how well each candidate fits; exchangeable when nothing leaks.
        truth: the place of the true candidate.

    Returns:
        p in [1 / k, 1].

    Raises:
        InputError: a similarity is NaN or there is none.
    """
    similarity = _numbers(similarity, 1)
    return float(np.mean(similarity >= similarity[truth]))


def conformal_permutation_p(similarity: Array, truth: Array, rng: Generator, shared: bool, draws: int = 9999) -> float:
    """Return one p for all targets: do their true candidates rank high together?

    The statistic is the sum, over targets, of decoys below the truth, ties counting half.

    Args:
        similarity: (m, k) how well candidate j fits target i.
        truth: (m,) the column of each target's true candidate.
        rng: the source of the shuffles.
        shared: True when column j is the same candidate for all targets: then all columns are shuffled jointly.
            False when every target has candidates of its own: then each truth is drawn by itself.
        draws: number of shuffles, at least 1.

    Returns:
        p in (0, 1], at least 1 / (draws + 1).

    Raises:
        InputError: shapes do not fit or a similarity is NaN.
    """
    similarity, truth = _numbers(similarity, 2), np.asarray(truth)
    m, k = similarity.shape
    if truth.shape != (m,) or truth.min() < 0 or truth.max() >= k:
        raise InputError(f"truth must give each of the {m} targets one of {k} candidates.")
    ordered = np.sort(similarity, axis=1)
    below = np.stack(
        [
            (np.searchsorted(line, row, side="left") + np.searchsorted(line, row, side="right") - 1) / 2.0
            for line, row in zip(ordered, similarity, strict=True)
        ]
    )
    return _identity_p(below, truth, rng, shared, draws)


def rank_permutation_p(similarity: Array, rng: Generator, draws: int = 9999) -> float:
    """Return the p of how many rebuilt classes look most like their own class.

    The statistic counts rows whose own column ranks first, t columns at the top sharing the point; the null shuffles
    the identities of all columns jointly.

    Args:
        similarity: (c, c), the rebuilt class i against class j.
        rng: the source of the shuffles.
        draws: number of shuffles, at least 1.

    Returns:
        p in (0, 1], at least 1 / (draws + 1).

    Raises:
        InputError: the matrix is not square or holds NaN.
    """
    similarity = _numbers(similarity, 2)
    if similarity.shape[0] != similarity.shape[1]:
        raise InputError(f"similarity must compare each class with each, and it has shape {similarity.shape}.")
    top = similarity == similarity.max(axis=1, keepdims=True)
    return _identity_p(top / top.sum(axis=1, keepdims=True), np.arange(len(top)), rng, True, draws)


def _identity_p(credit: Array, truth: Array, rng: Generator, shared: bool, draws: int) -> float:
    """Return the p of the summed credit (m, k) of the true columns when truths are drawn at random."""
    m, k = credit.shape
    observed = credit[np.arange(m), truth].sum()
    reached = 0
    turn = max(1, _CELLS // max(m, k))
    for start in range(0, draws, turn):
        rows = min(turn, draws - start)
        if shared:
            columns = rng.permuted(np.tile(np.arange(k), (rows, 1)), axis=1)[:, truth]
        else:
            columns = rng.integers(0, k, (rows, m))
        reached += int(np.sum(credit[np.arange(m), columns].sum(axis=1) >= observed - _SLACK))
    return (1 + reached) / (draws + 1)


def _numbers(similarity: Array, dimensions: int) -> Array:
    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.ndim != dimensions or similarity.size == 0 or np.isnan(similarity).any():
        raise InputError(
            f"similarity must have {dimensions} dimensions and no NaN, and it has shape {similarity.shape}"
            f" with {int(np.isnan(similarity).sum())} NaN."
        )
    return similarity


def _refuse_crossing(person: Array, stratum: Array) -> None:
    pairs = len(np.unique(np.stack([person, stratum], axis=1), axis=0))
    if pairs > len(np.unique(person)):
        raise InputError("a person on one side has rows in several strata: leave out either groups or strata.")
