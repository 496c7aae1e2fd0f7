"""How rows are drawn again: singly, or by whole persons (Efron and Tibshirani 1993, chapter 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.special import betaincinv

from safelight.errors import InputError
from safelight.measures.binomial import check_confidence

_CELLS = 2_000_000
"""Weights held at once; more draws than fit are done in turns."""


@dataclass(frozen=True)
class Units:
    """What is drawn with replacement.

    Attributes:
        codes: which unit each row belongs to, (n,), from 0.
        pools: the units that are drawn from among each other, each (units,): members never replace nonmembers.
    """

    codes: Array
    pools: tuple[Array, ...]

    def __len__(self) -> int:
        return sum(len(pool) for pool in self.pools)

    def weights(self, draws: int, rng: Generator) -> Iterator[Array]:
        """Yield how often each row was drawn, (some draws, n) at a time, `draws` in all."""
        turn = max(1, _CELLS // max(1, len(self.codes)))
        for start in range(0, draws, turn):
            rows = min(turn, draws - start)
            counts = np.zeros((rows, len(self)))
            for pool in self.pools:
                picked = pool[rng.integers(0, len(pool), (rows, len(pool)))] + np.arange(rows)[:, None] * len(self)
                counts += np.bincount(picked.ravel(), minlength=counts.size).reshape(counts.shape)
            yield counts[:, self.codes]


def units_of(n: int, groups: Array | None = None, member: Array | None = None) -> Units:
    """Return the units of `n` rows.

    Args:
        n: number of rows.
        groups: (n,) the person of each row; None when each row is its own.
        member: (n,) bool; then persons with rows on one side, on the other and on both are drawn apart.

    Raises:
        InputError: a shape does not fit.
    """
    codes = group_codes(n, groups)
    if member is None:
        return Units(codes, (np.arange(codes.max(initial=-1) + 1),))
    size = np.bincount(codes)
    share = np.bincount(codes, weights=np.asarray(member, dtype=np.float64)) / size
    pools = (np.flatnonzero(share == 1.0), np.flatnonzero(share == 0.0), np.flatnonzero((share > 0.0) & (share < 1.0)))
    return Units(codes, tuple(pool for pool in pools if len(pool)))


def group_codes(n: int, groups: Array | None) -> Array:
    """Return the group of each row as integers from 0, (n,); the row numbers when there are no groups."""
    if groups is None:
        return np.arange(n)
    if np.shape(groups) != (n,):
        raise InputError(f"groups must name one person a row: {n} rows, and groups of shape {np.shape(groups)}.")
    return np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)


def percentile_interval(
    statistic: Callable[[Array], Array], units: Units, rng: Generator, draws: int, confidence: float
) -> tuple[Array, Array]:
    """Return the percentile interval of a statistic of the row weights.

    Args:
        statistic: weights (d, n) -> values (d, ...); NaN where a draw has none.
        units: what is drawn.
        rng: the source of the draws.
        draws: how many, at least 1.
        confidence: e.g. 0.95.

    Returns:
        (low, high), each of the statistic's shape; NaN where no draw gave a value.
    """
    tail = check_confidence(confidence) / 2.0
    values = np.concatenate([statistic(weights) for weights in units.weights(draws, rng)])
    known = np.isfinite(values).any(axis=0)
    low, high = np.nanquantile(np.where(known, values, 0.0), [tail, 1.0 - tail], axis=0)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def binomial_limits(share: Array | float, n: int, confidence: float) -> tuple[Array, Array]:
    """Return Clopper-Pearson limits for a share of n, whole count or not.

    A bootstrap has no width where every row agrees; these limits still have.
    """
    tail = check_confidence(confidence) / 2.0
    count = np.asarray(share, dtype=np.float64) * n
    low = np.where(count > 0.0, betaincinv(np.maximum(count, 1e-9), n - count + 1.0, tail), 0.0)
    high = np.where(count < n, betaincinv(count + 1.0, np.maximum(n - count, 1e-9), 1.0 - tail), 1.0)
    return low, high
