"""What records of normal traffic look like, and what each new one is beside them: a few numbers, never the record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.guard.columns import Columns, Names
from safelight.guard.passages import FIFTY_TOKENS, Passages
from safelight.guard.seen import Seen
from safelight.guard.window import PLAIN, Facts

MOST_FIELDS = 64
MOST_CLASSES = 64
MOST_SURPRISE = 8.0
CLIP = 3.0
"""Deviations at which sketches are cut off where classes are compared: a few odd records say nothing of a class."""
HUGE = np.float32(3e38)
"""About the largest number of single precision."""
TABLES = 4
"""Hashes of one sketch: a near record shares one of them, if not the next."""


@dataclass(frozen=True)
class Reference:
    """Fitted to normal traffic of one model; see `safelight.guard.fit.fit_reference`.

    Attributes:
        mean, spread: (d,) of each value; the spread has a floor.
        axes: (q, d) principal directions of standardised records, the largest first.
        sizes: (q,) deviation along each.
        width: p, how many of them make a sketch (<= q).
        bands: (b + 1,) borders of groups of axes whose energy is told apart.
        centres: (r, p) sketches of typical records, each the mean of several.
        shape: (f,), (f,), (1 + f + f (f + 1) / 2,): mean and deviation of the features, and what each of them, and
            each product of two, says for a made-up record.
        off: log of the energy off the axes that counts as a squared distance of 1.
        farness, madeness, nearness: (2,) median and 90 % quantile among normal records of: `far`, `made`, minus the log
            of the distance to the nearest of 128 others.
        words: column -> keyed hash of a word -> the number that stands for it; 0 is the key of a word never seen.
        classes: names of labels that are no numbers, in order.
        width_classes: k, classes whose scores are kept; 0 where only labels leave.
        mix: (c,) share of each class among normal answers; (0,) for more than 64 classes, or none.
        class_means, class_spreads: (c, p) of the clipped sketches of normal records of each class; 0 where there are
            fewer than eight.
        usual: (m,) uint64 and (m,) float: keyed hash of a field's value with its column, rising, and its share among
            normal records; values that are rarer than 1 % are left out.
        grid: (t, g + 1) of hashing a sketch: g coordinates shifted by so much before they are rounded; last the seed.
        training: (t, n) uint64 hashes of the training records' sketches, each row rising; (t, 0) without any.
        secret: key of all hashes.
        passages: fingerprints of the texts that a language model was trained on.
        names: of the values (d,), or (): calls that name theirs are brought into this order.

    Of a language model, whose records have no values (d = 0), only the secret and the passages count.
    """

    mean: Array
    spread: Array
    axes: Array
    sizes: Array
    width: int
    bands: Array
    centres: Array
    shape: tuple[Array, Array, Array]
    off: float
    farness: Array
    madeness: Array
    nearness: Array
    words: Mapping[int, Mapping[int, float]]
    classes: Array
    width_classes: int
    mix: Array
    class_means: Array
    class_spreads: Array
    usual: tuple[Array, Array]
    grid: Array
    training: Array
    secret: bytes
    passages: Passages = Passages()  # noqa: RUF009 - it holds nothing
    names: Names = ()

    def __post_init__(self) -> None:
        """Work out what each reading needs."""
        d = len(self.mean)
        put = object.__setattr__
        put(self, "_columns", Columns(self.names))
        put(self, "_factors", odd(self.secret, b"record", d))
        put(self, "_field_factors", odd(self.secret, b"field", d))
        put(self, "_matrix", np.ascontiguousarray((self.axes / self.spread).T.astype(np.float32)))
        put(self, "_scale", (1 / self.spread).astype(np.float32))
        put(self, "_mean32", self.mean.astype(np.float32))
        put(self, "_centres32", np.ascontiguousarray(-2 * self.centres.T.astype(np.float32)))
        put(self, "_centre_norms", (self.centres.astype(np.float32) ** 2).sum(axis=1))
        mean, deviation, weights = self.shape
        f = len(mean)
        square = np.zeros((f, f))
        square[np.triu_indices(f)] = weights[f + 1 :]
        put(self, "_form", (mean, 1 / deviation, weights[0], weights[1 : f + 1], square))
        put(self, "_tails", np.stack([self.farness, self.madeness], axis=1))
        put(self, "_grid_factors", odd(self.secret, b"grid", self.grid.size).reshape(self.grid.shape))
        put(self, "_ones", np.full(d, 1 / max(d, 1), np.float32))
        put(self, "_counts", np.diff(self.bands).astype(np.float32))
        put(self, "_sizes32", (1 / self.sizes).astype(np.float32))
        put(self, "_known", [frozenset(row.tolist()) for row in self.training])
        put(self, "_usual", dict(zip(self.usual[0].tolist(), self.usual[1].tolist())))
        put(self, "_names", {str(name): place for place, name in enumerate(self.classes)})

    @property
    def fields(self) -> int:
        """Fields that are kept: all of a record with up to 64 values, else none."""
        return len(self.mean) if len(self.mean) <= MOST_FIELDS else 0

    @property
    def columns(self) -> Columns:
        """The order of a record's values."""
        return self._columns  # type: ignore[attr-defined,no-any-return]

    def read(self, seen: Seen) -> Facts:
        """Return what is kept of the records of a call, in whatever order it names their values."""
        n, d = len(seen.x), len(self.mean)
        label, scores, top, second = self.answered(seen.answers, n)
        numbers = np.zeros((n, len(PLAIN)), np.float32)
        numbers[:, 4], numbers[:, 5] = top, second
        numbers[:, 6] = np.log(np.minimum(top / np.maximum(second, 1e-12), 22026.0))
        ordered, odd_ones = self.columns.read(seen.x, seen.names)
        if ordered.ndim != 2 or ordered.shape[1] != d:  # not what the model takes: as far from normal as can be
            numbers[:, 0] = numbers[:, 1] = MOST_SURPRISE
            blank = np.zeros((n, self.fields), np.uint16)
            digest = np.arange(n, dtype=np.uint64) + np.uint64(int(seen.at * 1e3) << 20)
            return Facts(np.zeros((n, self.width)), scores, numbers, blank, label, digest, seen.at, seen.texts)
        if not d:
            return self._texts(seen, numbers, scores, label)
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond single precision is dealt with below
            x, bits = self.numbers(ordered)
            z, features = self.sketch(x)
            numbers[:, :2] = self.surprise(features)
        if odd_ones:  # values that no normal record has: the others are read, and the whole is as far as can be
            numbers[:, :2] = MOST_SURPRISE
        digest = np.vecdot(bits, self._factors)  # type: ignore[attr-defined]
        fields = ((bits * self._field_factors) >> np.uint64(48)).astype(np.uint16) if self.fields else bits[:, :0]  # type: ignore[attr-defined]
        if self.training.shape[1]:
            numbers[:, 3] = self.hits(z)
        return Facts(z, scores, numbers, fields, label, digest, seen.at, seen.texts)

    def _texts(self, seen: Seen, numbers: Array, scores: Array, label: Array) -> Facts:
        """Return what is kept of prompts and answers: a prompt asked again shows, and how much an answer repeats."""
        none = np.empty((len(label), 0))
        digest = np.zeros(len(label), np.uint64)
        for row, (prompt, answer) in enumerate(seen.texts):
            digest[row] = word_hash(self.secret, prompt)
            numbers[row, 3] = math.log2(1 + self.passages.repeated(prompt, answer) / FIFTY_TOKENS)
        return Facts(none, scores, numbers, none.astype(np.uint16), label, digest, seen.at, seen.texts)

    def numbers(self, x: Array) -> tuple[Array, Array]:
        """Return records as float32 (n, d), and as 64 bits a value; words count by how rare they are."""
        if x.dtype != object:
            values = np.ascontiguousarray(x, np.float64) + 0.0  # -0.0 becomes 0.0
            bits = values.view(np.uint64)
            bits = bits ^ (bits >> np.uint64(32))  # round numbers end in zeros, and would make poor hashes
            plain = values.astype(np.float32)
        else:
            plain = np.empty(x.shape, np.float32)
            bits = np.empty(x.shape, np.uint64)
            for column in range(x.shape[1]):
                known = self.words.get(column)
                for row, value in enumerate(x[:, column]):
                    word = known is not None or not isinstance(value, (int, float, np.number, type(None)))
                    number = word_hash(self.secret, value) if word else _bits(value)
                    bits[row, column] = number
                    if known is not None:
                        plain[row, column] = known.get(number, known[0])
                    else:
                        plain[row, column] = np.nan if word else value
        if not np.isfinite(plain.sum()):  # what is missing says nothing; what is infinite is as far as can be
            plain = np.clip(np.where(np.isnan(plain), self._mean32, plain), -HUGE, HUGE)  # type: ignore[attr-defined]
        return plain, bits

    def sketch(self, x: Array) -> tuple[Array, Array]:
        """Return sketches (n, p) and features (n, f) of records (n, d) float32.

        The features are logs: energy in each band of axes, energy off the axes, all energy, energy of the second
        differences from value to value, deviation within the record, distance to the nearest centre.
        """
        centred = x - self._mean32  # type: ignore[attr-defined]
        along = centred @ self._matrix  # type: ignore[attr-defined]
        centred *= self._scale  # type: ignore[attr-defined]
        features = np.empty((len(x), len(self.bands) + 4), np.float32)
        features[:, -4] = whole = np.vecdot(centred, centred)
        features[:, -5] = np.maximum(whole - np.vecdot(along, along), 1e-5 * whole)
        along *= self._sizes32  # type: ignore[attr-defined]
        z = np.minimum(np.maximum(along[:, : self.width], -250.0), 250.0)
        features[:, :-5] = np.add.reduceat(along * along, self.bands[:-1], axis=1) / self._counts  # type: ignore[attr-defined]
        steps = x[:, 1:] - x[:, :-1]
        bends = steps[:, 1:] - steps[:, :-1]
        features[:, -3] = np.vecdot(bends, bends)
        features[:, -2] = np.vecdot(x, x) / x.shape[1] - (x @ self._ones) ** 2  # type: ignore[attr-defined]
        apart = self._centre_norms + z @ self._centres32  # type: ignore[attr-defined]
        features[:, -1] = apart.min(axis=1) + np.vecdot(z, z)
        features = np.log(np.maximum(features, 1e-9))
        if not np.isfinite(features.sum()):  # squares beyond single precision: as far as can be, and never NaN
            z, features = np.nan_to_num(z, nan=250.0), np.nan_to_num(features, nan=np.inf)
        return z, features

    def far(self, features: Array) -> Array:
        """Return (n,) how far records lie from normal: the log of squared distance in the sketch, plus that off it."""
        return np.logaddexp(features[:, -1], features[:, -5] - self.off)  # type: ignore[no-any-return]

    def surprise(self, features: Array) -> Array:
        """Return (n, 2), 0 to 8: the surprise at how far records lie, and at how made up they look."""
        values = np.empty((len(features), 2))
        values[:, 0], values[:, 1] = self.far(features), self.made(features)
        return tail(self._tails, values)  # type: ignore[attr-defined]

    def made(self, features: Array) -> Array:
        """Return (n,) how much records look made up: a quadratic function of their features."""
        mean, factor, constant, linear, square = self._form  # type: ignore[attr-defined]
        u = np.minimum(np.maximum((features - mean) * factor, -8.0), 8.0)
        return constant + np.vecdot(u @ square + linear, u)  # type: ignore[no-any-return]

    def hashes(self, z: Array) -> Array:
        """Return (n, t) keyed hashes of coarse sketches: near ones often share one."""
        g = self.grid.shape[1]
        cells = np.floor(z[:, None, :g] + self.grid).astype(np.int64).view(np.uint64)
        mixed = (cells * self._grid_factors).sum(axis=2, dtype=np.uint64)  # type: ignore[attr-defined]
        return mixed ^ (mixed >> np.uint64(29))

    def hits(self, z: Array) -> Array:
        """Return (n,) the share of a record's hashes that some training record has."""
        hashes = self.hashes(z)
        if len(z) == 1:  # the usual call: looking up is faster than searching
            known_to = self._known  # type: ignore[attr-defined]
            return np.array([sum(one in known for one, known in zip(hashes[0].tolist(), known_to)) / len(known_to)])
        found = np.zeros(len(z))
        for mine, known in zip(hashes.T, self.training):
            place = np.minimum(known.searchsorted(mine), len(known) - 1)
            found += known[place] == mine
        return found / len(self.training)

    def answered(self, answers: Array, n: int) -> tuple[Array, Array, Array, Array]:
        """Return label (n,), scores (n, k), largest and second largest score (n,) of raw answers."""
        if answers.ndim == 2 and answers.shape[1] >= 2:
            top = np.partition(answers, -2, axis=1)[:, -2:]
            kept = answers if answers.shape[1] == self.width_classes else np.zeros((n, self.width_classes))
            return answers.argmax(axis=1).astype(np.uint16), kept, top[:, 1], top[:, 0]
        labels = answers.reshape(n, -1)[:, 0]
        if labels.dtype.kind in "OUS":
            codes = [self._names.get(str(label), 65535) for label in labels]  # type: ignore[attr-defined]
        else:
            whole = np.nan_to_num(labels.astype(float), nan=65535.0)
            codes = np.where(whole == np.floor(whole), np.clip(whole, 0, 65535), 65535.0).tolist()
        return np.asarray(codes).astype(np.uint16), np.zeros((n, self.width_classes)), np.ones(n), np.zeros(n)

    def shares(self, fields: Array) -> Array:
        """Return (d,) the share of normal records that have each of these field hashes (d,); 0 for a rare one."""
        keys = ((np.arange(len(fields)) << 16) + fields).tolist()
        return np.array([self._usual.get(key, 0.0) for key in keys])  # type: ignore[attr-defined]


def tail(table: Array, values: Array) -> Array:
    """Return the surprise at values, 0 to 8: minus the log of the share of normal values that are as large.

    Above and below, an exponential tail is laid through the median (log 2) and the 90 % quantile (log 10), so that few
    normal records suffice and a value a little beyond them is a little more surprising.

    Args:
        table: (2,) median and 90 % quantile of normal values, or (2, k) of k kinds.
        values: (n,), or (n, k).
    """
    steps = (values - table[0]) * (1.609438 / (table[1] - table[0])) + 0.693147
    return np.minimum(np.maximum(steps, 0.0), MOST_SURPRISE)  # type: ignore[no-any-return]


def odd(secret: bytes, name: bytes, count: int) -> Array:
    """Return secret odd numbers (count,) uint64: with them a sum of products is a keyed hash."""
    drawn = hashlib.shake_256(secret + b"\0" + name).digest(8 * count)
    return np.frombuffer(drawn, np.uint64) | np.uint64(1)


def word_hash(secret: bytes, value: object) -> int:
    """Return a keyed hash (64 bits, never 0) of a word."""
    digest = hashlib.blake2b(str(value).encode(), digest_size=8, key=secret[:32]).digest()
    return int.from_bytes(digest, "little") | 1


def _bits(value: object) -> int:
    whole = int(np.array([value], np.float64).view(np.uint64)[0])
    return whole ^ (whole >> 32)
