"""Three ways to tell two samples apart, from counts and means alone: PSI, Kolmogorov and Smirnov's D, and MMD.

All three take what a sketch holds: no record is needed. A PSI counts as a shift from 0.1 on, as a large one from 0.25
on: the rule of credit scoring (Siddiqi 2006, "Credit Risk Scorecards", chapter 9).
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from scipy import stats
from scipy.optimize import brentq


def psi(before: Array, after: Array) -> Array:
    """Return the population stability index of each row of counts (columns, bins).

    The sum over bins of (q - p) ln(q / p), with p and q the shares; one record, spread as both samples together are, is
    added to each, so that an empty bin stays finite.
    """
    both = before + after
    share = both / both.sum(axis=1, keepdims=True)
    p, q = ((counts + share) / (counts.sum(axis=1, keepdims=True) + 1) for counts in (before, after))
    held = both > 0
    ratio = np.divide(q, p, out=np.ones_like(q), where=held)
    return np.asarray(((q - p) * np.log(ratio)).sum(axis=1))


def psi_p(index: Array, bins: Array, n: float, m: float) -> Array:
    """Return p of each index where nothing drifts: PSI n m / (n + m) is about chi-square with bins - 1 degrees.

    Source: Yurdakul and Naranjo 2020, "Statistical properties of the population stability index", J. Risk Model
    Validation 14(4), section 3.
    """
    return np.asarray(stats.chi2.sf(index * n * m / (n + m), np.maximum(bins - 1, 1)))


def ks(before: Array, after: Array) -> Array:
    """Return D, the largest difference of the two distribution functions at the borders of the bins, of each row."""
    one, other = (counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True) for counts in (before, after))
    return np.asarray(np.abs(one - other).max(axis=1))


def ks_p(d: Array, n: float, m: float) -> Array:
    """Return p of each D where nothing drifts, by Kolmogorov's limit; D at borders alone is no larger than D itself.

    Ties and bins make it too large, never too small.
    """
    return np.asarray(stats.kstwobign.sf(d * np.sqrt(n * m / (n + m))))


def mmd(before: Array, after: Array) -> float:
    """Return the squared MMD of two mean embeddings (2 f,) in random Fourier features: their squared distance.

    Source: Rahimi and Recht 2007, "Random features for large-scale kernel machines"; Gretton et al. 2012, JMLR 13,
    section 2.2.
    """
    return float(((before - after) ** 2).sum())


def mmd_p(squared: float, weights: Array, n: float, m: float) -> float:
    """Return p of a squared MMD where nothing drifts.

    The difference of two means is about normal with covariance (1 / n + 1 / m) C, so that its squared length is a sum
    of chi-squares weighted by the eigenvalues of that; `quadratic_p` gives its tail.

    Args:
        squared: of two mean embeddings.
        weights: eigenvalues (2 f,) of C, the covariance of one embedded record.
        n: records behind the one.
        m: records behind the other.
    """
    return quadratic_p(squared / (1 / n + 1 / m), weights)


def quadratic_p(value: float, weights: Array) -> float:
    """Return the chance that the sum of weights (k,) times squares of standard normals is above a value.

    Source: Kuonen 1999, "Saddlepoint approximations for distributions of quadratic forms in normal variables",
    Biometrika 86(4), section 2 (Lugannani and Rice).
    """
    weights = weights[weights > 1e-9 * weights.max(initial=0.0)]
    if not len(weights) or value <= 0:
        return 1.0 if value <= 0 else 0.0
    weights, value = weights / weights.max(), value / weights.max()
    if abs(value / weights.sum() - 1) < 1e-4:  # the formula is 0 / 0 at the mean, and flat around it
        value = weights.sum() * 1.0001

    def slope(z: float) -> float:
        return float((weights / (1 - 2 * z * weights)).sum()) - value

    low = -0.5 * len(weights) / value - 1.0  # there the slope is below the value
    z = brentq(slope, low, 0.5 * (1 - 1e-12), xtol=1e-14)
    bent = 1 - 2 * z * weights
    k = -0.5 * float(np.log(bent).sum())
    w = np.sign(z) * np.sqrt(2 * (z * value - k))
    v = z * np.sqrt(2 * float((weights**2 / bent**2).sum()))
    return float(np.clip(stats.norm.sf(w + np.log(v / w) / w), 0.0, 1.0))
