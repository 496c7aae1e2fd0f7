"""What is kept of a table of records: a count a bin and column, and the mean of random features. Never a record.

Borders of bins are rounded to a two-hundredth of a column's range, so that none of them is a value of one record. Words
are kept as hashes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

BINS = 20
WORDS = 19
FEATURES = 64
MOST = 64
"""Columns with counts of their own; all of them are in the random features."""
WIDEST = 4096
"""Values of a record that are looked at: evenly many of a longer one."""


@dataclass(frozen=True)
class Sketch:
    """How records of one shape are looked at, and what the reference looked like.

    Attributes:
        width: values of a record.
        taken: (d,) places of those that are looked at.
        counted: (c,) places, among these, with counts of their own.
        borders: (c, 19) of bins, rising; the last ones repeat where there are fewer. Of a column of words: unused.
        words: (c, 19) uint64 hashes of the most frequent words; 0 fills up. Of a column of numbers all are 0.
        centre, scale: (d,) of each value: it is standardised before the random features.
        is_word: (d,) whether a column holds words.
        waves: (d, 64) frequencies of the random features.
        reach: bandwidth that frequencies, and the angles of words, are divided by.
        counts: (c, 21) of the reference; the last bin counts what is missing.
        mean: (128,) of its random features.
        weights: (128,) eigenvalues of their covariance.
        records: of the reference.
    """

    width: int
    taken: Array
    counted: Array
    borders: Array
    words: Array
    centre: Array
    scale: Array
    is_word: Array
    waves: Array
    reach: float
    counts: Array
    mean: Array
    weights: Array
    records: int

    def __post_init__(self) -> None:
        """Work out what each look needs."""
        put = object.__setattr__
        put(self, "_worded", np.flatnonzero(self.is_word))
        put(self, "worded", self.is_word[self.counted])

    worded: Array = field(init=False, repr=False)
    """Whether each counted column (c,) holds words."""

    def fits(self, x: Array) -> bool:
        """Whether records have the shape that the reference had."""
        return x.ndim == 2 and x.shape[1] == self.width

    def look(self, x: Array) -> tuple[Array, Array]:
        """Return bins (n, c) uint8 and random features (n, 128) float32 of records (n, width)."""
        numbers, hashes = numbers_of(x[:, self.taken], self.is_word)
        gone = np.isnan(numbers)
        picked = numbers[:, self.counted]
        bins = (picked[:, :, None] >= self.borders).sum(axis=2)  # NaN is in no bin, and set below
        for place in np.flatnonzero(self.worded):
            same = hashes[:, self.counted[place]][:, None] == self.words[place]
            bins[:, place] = np.where(same.any(axis=1), same.argmax(axis=1), WORDS)
        bins[gone[:, self.counted] & ~self.worded] = BINS
        z = np.clip((np.where(gone, self.centre, numbers) - self.centre) / self.scale, -8.0, 8.0)
        angle = z @ self.waves
        for place in self._worded:  # type: ignore[attr-defined]
            angle += np.stack([turn(int(word), int(place)) for word in hashes[:, place]])
        return bins.astype(np.uint8), embedded(angle / self.reach)


def embedded(angle: Array) -> Array:
    """Return random features (n, 2 f) float32 of angles (n, f): a record's length is 1."""
    return (np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / np.sqrt(angle.shape[1])).astype(np.float32)


def sketched(x: Array, rng: Generator) -> Sketch:
    """Return the sketch of a reference.

    Args:
        x: records (n, width), float64, or object where some values are words.
        rng: draws the random features.
    """
    width = x.shape[1]
    taken = _evenly(width, WIDEST)
    x = x[:, taken]
    is_word = np.array([x.dtype == object and any(isinstance(value, str) for value in column) for column in x.T], bool)
    numbers, hashes = numbers_of(x, is_word)
    with np.errstate(invalid="ignore"):
        held = ~np.isnan(numbers)
        some = np.maximum(held.sum(axis=0), 1)
        centre = np.where(held, numbers, 0.0).sum(axis=0) / some
        spread = np.sqrt((np.where(held, numbers - centre, 0.0) ** 2).sum(axis=0) / some)
    moves = spread > 1e-9 * np.maximum(np.abs(centre), 1.0)
    scale = np.where(moves, spread, np.median(spread[moves]) if moves.any() else 1.0)
    counted = _evenly(len(taken), MOST)
    borders = np.full((len(counted), BINS - 1), np.inf)
    words = np.zeros((len(counted), WORDS), np.uint64)
    for row, place in enumerate(counted):
        if is_word[place]:
            found, often = np.unique(hashes[:, place], return_counts=True)
            most = found[np.argsort(-often, kind="stable")[:WORDS]]
            words[row, : len(most)] = most
        else:
            found = _borders(numbers[held[:, place], place])
            borders[row, : len(found)] = found
    z = np.clip((np.where(held, numbers, centre) - centre) / scale, -8.0, 8.0)
    waves = rng.standard_normal((len(taken), FEATURES))
    reach = bandwidth(z, hashes[:, is_word], rng)
    plain = Sketch(
        width, taken, counted, borders, words, centre, scale, is_word, waves, reach,
        np.zeros((len(counted), BINS + 1)), np.zeros(2 * FEATURES), np.ones(2 * FEATURES), len(x),
    )  # fmt: skip
    whole = np.empty((len(x), width), x.dtype)
    whole[:, taken] = x
    bins, features = plain.look(whole)
    mean = features.mean(axis=0, dtype=np.float64)
    weights = np.maximum(np.linalg.eigvalsh(np.cov(features.astype(np.float64), rowvar=False)), 0.0)
    return replace(plain, counts=counted_bins(bins), mean=mean, weights=weights)


def counted_bins(bins: Array) -> Array:
    """Return counts (c, 21) of bins (n, c)."""
    columns = bins.shape[1]
    flat = bins.astype(np.int64) + np.arange(columns) * (BINS + 1)
    return np.bincount(flat.ravel(), minlength=columns * (BINS + 1)).reshape(columns, BINS + 1).astype(np.float64)


def numbers_of(x: Array, is_word: Array) -> tuple[Array, Array]:
    """Return records as numbers (n, d), NaN where a value is missing or a word, and hashes (n, d) uint64 of words."""
    hashes = np.zeros(x.shape, np.uint64)
    if x.dtype != object:
        return np.asarray(x, np.float64), hashes
    numbers = np.full(x.shape, np.nan)
    for (row, place), value in np.ndenumerate(x):
        if is_word[place]:
            numbers[row, place] = 0.0
            hashes[row, place] = word_hash(value)
        elif isinstance(value, (int, float, np.number)):
            numbers[row, place] = value
    return numbers, hashes


def word_hash(value: object) -> int:
    """Return 64 bits of a word's hash, never 0; what is missing is a word too."""
    digest = hashlib.blake2b(str(value).encode(), digest_size=8, person=b"safelight drift").digest()
    return int.from_bytes(digest, "little") | 1


def bandwidth(z: Array, hashes: Array, rng: Generator) -> float:
    """Return the median distance of 500 pairs of records (n, d), with 1.4 for each pair of different words."""
    one, other = rng.integers(len(z), size=(2, 500))
    squared = ((z[one] - z[other]) ** 2).sum(axis=1) + 2.0 * (hashes[one] != hashes[other]).sum(axis=1)
    squared = squared[squared > 0]
    return float(np.sqrt(np.median(squared))) if len(squared) else 1.0


@lru_cache(maxsize=4096)
def turn(word: int, place: int) -> Array:
    """Return the angles (64,) that a word of a column adds: two words are about the square root of 2 apart."""
    return np.random.default_rng([word, place]).standard_normal(FEATURES)


def _borders(values: Array) -> Array:
    """Return up to 19 borders, rising: quantiles, rounded to a two-hundredth of the range of the middle 98 %.

    Up to 18 different values get a bin each, and what lies below or above them all gets two.
    """
    if not len(values):
        return values
    found = np.unique(values)
    if len(found) <= BINS - 2:
        return np.append(found, np.nextafter(found[-1], np.inf))
    low, high = np.quantile(values, [0.01, 0.99])
    step = (high - low) / 200 or 1.0
    return np.unique(np.round(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]) / step) * step)


def _evenly(count: int, most: int) -> Array:
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)
