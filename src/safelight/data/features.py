"""What a classifier without the model can see of a record: its inputs and label as a matrix of plain features."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.data.resize import shrink

MOST_LEVELS = 30
"""A category beyond this many most frequent ones shares one column with all other rare ones."""

SIDE = 16
"""Pictures are shrunk to this many pixels a side before their principal components are taken."""


def blind_features(records: Records, rng: Generator, components: int = 50, waves: int = 100) -> Array:
    """Return (n, features) float64: columns of mean 0, of variance 1 where plain and 1/4 where random.

    Inputs and labels, in plain form, and then random Fourier features of these (Rahimi and Recht 2007, "Random
    features for large-scale kernel machines"), around the length scale at which records differ. The random ones see
    shifts that no plain feature shows alone; they are smaller, so that a ridge regression believes the plain ones
    first. Nothing here knows who is a member.

    Args:
        components: principal components of a picture; at most a tenth of the records.
        waves: random Fourier features.
    """
    inputs = table_features(records.x) if records.is_table else picture_features(records.x, components)
    plain = standardised(np.hstack([inputs, _label_features(records.y)]))
    # Two standardised records typically lie the root of twice the number of varying columns apart.
    scale = np.sqrt(2.0 * max(1, int(np.count_nonzero(plain.std(axis=0)))))
    directions = rng.standard_normal((plain.shape[1], waves)) / scale * rng.choice([0.5, 1.0, 2.0], size=waves)
    phases = rng.uniform(0, 2 * np.pi, size=waves)
    return np.hstack([plain, 0.5 * standardised(np.cos(plain @ directions + phases))])


def table_features(frame: pd.DataFrame) -> Array:
    """Return ranks of numbers and times, and one column a category; for many categories also their sorted order.

    Ranks, because they see a shift of any size and no outlier can hide it; sorted order, because dates and numbered
    names come as words.
    """
    columns: list[Array] = []
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_bool_dtype(values):
            columns.append(values.to_numpy(dtype=float)[:, None])
        elif pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
            columns.append(values.rank().to_numpy(dtype=float)[:, None])
        else:
            words = values.astype(str)
            columns.append(_one_hot(words.to_numpy()))
            if words.nunique() > MOST_LEVELS:
                columns.append(words.rank().to_numpy(dtype=float)[:, None])
    return np.hstack(columns) if columns else np.zeros((len(frame), 0))


def picture_features(images: Array, components: int) -> Array:
    """Return eight statistics of each channel (light, contrast, range, clipping, texture) and principal components.

    The statistics see another camera, another compression or another scan, which principal components of small
    pictures miss.

    Args:
        images: (n, channels, height, width).
    """
    images = np.asarray(images, dtype=np.float32)
    n, _, height, width = images.shape
    flat = images.reshape(*images.shape[:2], -1)
    low, high = flat.min(), flat.max()
    statistics = [
        flat.mean(axis=2),
        flat.std(axis=2),
        flat.min(axis=2),
        flat.max(axis=2),
        (flat == low).mean(axis=2),
        (flat == high).mean(axis=2),
        np.abs(np.diff(images, axis=2)).mean(axis=(2, 3)),
        np.abs(np.diff(images, axis=3)).mean(axis=(2, 3)),
    ]
    small = shrink(images, (min(SIDE, height), min(SIDE, width))).reshape(n, -1).astype(float)
    small -= small.mean(axis=0)
    _, axes = np.linalg.eigh(small.T @ small)
    kept = axes[:, ::-1][:, : max(1, min(components, n // 10))]
    return np.nan_to_num(np.hstack([*statistics, small @ kept]))


def standardised(columns: Array) -> Array:
    """Return columns with mean 0 and variance 1; one that does not vary becomes 0."""
    spread = columns.std(axis=0)
    flat = spread <= 1e-12 * np.maximum(1.0, np.abs(columns).max(axis=0, initial=0.0))
    return np.where(flat, 0.0, (columns - columns.mean(axis=0)) / np.where(flat, 1.0, spread))


def _label_features(y: Array) -> Array:
    if np.asarray(y).dtype.kind == "f":
        return pd.Series(y).rank().to_numpy(dtype=float)[:, None]
    return _one_hot(np.asarray(y))


def _one_hot(values: Array) -> Array:
    levels, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    kept = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
    column = np.full(len(levels), len(kept))
    column[kept] = np.arange(len(kept))
    return np.eye(len(kept) + 1)[column[number.reshape(-1)]]
