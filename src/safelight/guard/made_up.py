"""Records such as a searching attacker makes up, and what tells them from normal ones, worn as those may be."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

NOISE = (0.1, 0.3, 0.6, 1.0)
SPOILT = (0.02, 0.06)
"""What still counts as normal: noise of so many deviations, and this share of values at an end of their range."""


def made_up(x: Array, rng: Generator, count: int) -> Array:
    """Return (about count, d) records such as a searching attacker makes up from records x (n, d) of the same kind.

    A fifth each: draws from a model of principal components; records seen through one; means of several records;
    places between records in such a model, disturbed; records in which a fifth of the values are another's.
    """
    mean = x.mean(axis=0)
    _, sizes, axes = np.linalg.svd(x[:500] - mean, full_matrices=False)
    sizes = sizes / np.sqrt(len(x[:500]))
    parts = []
    for _ in range(max(1, count // 20)):
        k = int(rng.integers(min(4, len(sizes)), min(100, len(sizes)) + 1))
        one, other = x[rng.integers(0, len(x), 4)], x[rng.integers(0, len(x), 4)]
        seen, noise = (one - mean) @ axes[:k].T, rng.standard_normal((4, k)) * sizes[:k]
        parts.append(mean + rng.uniform(0.4, 1.3) * noise @ axes[:k])
        parts.append(mean + seen @ axes[:k])
        parts.append(x[rng.integers(0, len(x), (4, int(rng.integers(2, 8))))].mean(axis=1))
        parts.append(mean + (rng.uniform(0.2, 0.8) * seen + 0.5 * noise) @ axes[:k])
        parts.append(np.where(rng.random(one.shape) < 0.2, other, one))
    return np.clip(np.vstack(parts), x.min(axis=0), x.max(axis=0))


def worn(x: Array, rng: Generator) -> list[Array]:
    """Return records as bad cameras and careless hands make them."""
    spread, low, high = x.std(axis=0), x.min(axis=0), x.max(axis=0)
    noisy = [np.clip(x + size * spread * rng.standard_normal(x.shape), low, high) for size in NOISE]
    ends = np.where(rng.random(x.shape) < 0.5, low, high)
    return noisy + [np.where(rng.random(x.shape) < share, ends, x) for share in SPOILT]


def tells(real: Array, made: Array) -> tuple[Array, Array, Array]:
    """Return what tells made-up records from real ones; see `Reference.shape`.

    Args:
        real: (w, n, f) features of n records, each as it came and worn in w - 1 ways.
        made: (m, f) those of made-up records.
    """
    from sklearn.linear_model import LogisticRegression

    positive = real.reshape(-1, real.shape[-1])
    features = np.vstack([positive, made]).astype(float)
    mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    u = np.clip((features - mean) / deviation, -8.0, 8.0)
    rows, columns = np.triu_indices(u.shape[1])
    terms = np.hstack([u, u[:, rows] * u[:, columns]])
    scale = np.maximum(terms.std(axis=0), 1e-6)
    model = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
    model.fit(terms / scale, np.arange(len(u)) >= len(positive))
    return mean, deviation, np.concatenate([model.intercept_, model.coef_[0] / scale])
