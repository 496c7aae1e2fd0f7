"""How well a hidden value was predicted: accuracy, G-mean, MCC and AUC, each with an interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.measures.bootstrap import Units, binomial_limits, percentile_interval, units_of
from safelight.measures.weighted_roc import ranked


def accuracy(confusion: Array) -> Array:
    """Return the share of right predictions; `confusion` (..., k, k) counts truth by prediction. NaN without a row."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def g_mean(confusion: Array) -> Array:
    """Return the geometric mean of the recalls over the classes that occur; `confusion` as for `accuracy`."""
    rows = confusion.sum(axis=-1)
    recall = _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), rows)
    present = rows > 0.0
    logs = np.log(np.where(present & (recall > 0.0), recall, 1.0))
    missed = np.any(present & (recall == 0.0), axis=-1)
    return np.where(missed, 0.0, np.exp(_ratio(logs.sum(axis=-1), present.sum(axis=-1))))


def mcc(confusion: Array) -> Array:
    """Return Matthews' correlation for k classes (Gorodkin 2004, Comput. Biol. Chem. 28), 0 where it has no meaning.

    `confusion` as for `accuracy`.
    """
    truth, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    rows, right = truth.sum(axis=-1), np.trace(confusion, axis1=-2, axis2=-1)
    spread = (rows**2 - np.sum(truth**2, axis=-1)) * (rows**2 - np.sum(predicted**2, axis=-1))
    shared = right * rows - np.sum(truth * predicted, axis=-1)
    return np.where(spread > 0.0, _ratio(shared, np.sqrt(np.maximum(spread, 0.0))), 0.0)


def table_measures(
    predicted: Array,
    truth: Array,
    classes: int,
    rng: Generator,
    scores: Array | None = None,
    groups: Array | None = None,
    draws: int = 500,
    confidence: float = 0.95,
) -> tuple[Measurement, ...]:
    """Return `accuracy`, `g_mean`, `mcc` and, where there are scores, `auc`.

    Intervals are percentile bootstraps over rows or persons; where all draws agree, Clopper-Pearson limits over the
    persons. With two classes the AUC is that of class 1; with more, the mean of one class against the rest over the
    classes that occur.

    Args:
        predicted: (n,) class numbers.
        truth: (n,) class numbers.
        classes: k, at least 2.
        rng: the source of the draws.
        scores: (n, k), higher means that the attacker believes it more.
        groups: (n,) the person of each row.
        draws: number of bootstrap draws.
        confidence: e.g. 0.95.

    Returns:
        one Measurement a name; AUC without a value when only one class occurs.

    Raises:
        InputError: shapes do not fit, a class number is out of range, there is no row, or a score is NaN.
    """
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    _check(predicted, truth, classes)
    units = units_of(len(truth), groups)
    cells = truth * classes + predicted

    def tables(weights: Array) -> Array:
        counts = [np.bincount(cells, weights=row, minlength=classes * classes) for row in weights]
        return np.stack(counts).reshape(-1, classes, classes)

    def rates(weights: Array) -> Array:
        confusion = tables(weights)
        return np.stack([accuracy(confusion), g_mean(confusion), mcc(confusion)], axis=1)

    once = np.ones((1, len(truth)))
    low, high = percentile_interval(rates, units, rng, draws, confidence)
    measured = [
        _measurement(name, value, bottom, top, units, confidence)
        for name, value, bottom, top in zip(("accuracy", "g_mean", "mcc"), rates(once)[0], low, high, strict=True)
    ]
    if scores is not None:
        measured.append(_auc(np.asarray(scores), truth, classes, units, rng, draws, confidence))
    return tuple(measured)


def _auc(
    scores: Array, truth: Array, classes: int, units: Units, rng: Generator, draws: int, confidence: float
) -> Measurement:
    if scores.shape != (len(truth), classes):
        raise InputError(f"scores must be rows by classes, ({len(truth)}, {classes}), and they are {scores.shape}.")
    columns = [1] if classes == 2 else list(range(classes))
    ranks = [ranked(scores[:, column]) for column in columns]
    sides = [(truth == column).astype(np.float64) for column in columns]

    def mean_auc(weights: Array) -> Array:
        each = [rank.auc(weights * side, weights * (1.0 - side)) for rank, side in zip(ranks, sides, strict=True)]
        known = np.isfinite(each)
        return _ratio(np.where(known, each, 0.0).sum(axis=0), known.sum(axis=0))

    value = mean_auc(np.ones((1, len(truth))))[0]
    if np.isnan(value):
        return Measurement("auc", None, control=0.5)
    low, high = percentile_interval(mean_auc, units, rng, draws, confidence)
    return replace(_measurement("auc", value, float(low), float(high), units, confidence), control=0.5)


def _measurement(name: str, value: float, low: float, high: float, units: Units, confidence: float) -> Measurement:
    if low == high:
        bottom = -1.0 if name == "mcc" else 0.0
        limits = binomial_limits((value - bottom) / (1.0 - bottom), len(units), confidence)
        low, high = (bottom + (1.0 - bottom) * float(limit) for limit in limits)
    return Measurement(name, float(value), float(low), float(high))


def _ratio(part: Array, whole: Array) -> Array:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0.0)


def _check(predicted: Array, truth: Array, classes: int) -> None:
    if truth.ndim != 1 or predicted.shape != truth.shape or not len(truth):
        raise InputError(
            f"predictions and truth must pair up, and they have shapes {predicted.shape} and {truth.shape}."
        )
    if not (np.issubdtype(truth.dtype, np.integer) and np.issubdtype(predicted.dtype, np.integer)):
        raise InputError(
            f"predictions and truth must be class numbers, and they are {predicted.dtype} and {truth.dtype}."
        )
    if classes < 2 or min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= classes:
        raise InputError(
            f"class numbers must be 0 to {classes - 1}, and the largest is {max(truth.max(), predicted.max())}."
        )
