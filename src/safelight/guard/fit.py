"""Fitting a reference: which directions normal records vary in, and what tells them from made-up ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError
from safelight.guard.columns import Names
from safelight.guard.directions import DIRECTIONS, FOLDS, Centres, directions, folds
from safelight.guard.made_up import made_up, tells, worn
from safelight.guard.passages import Passages
from safelight.guard.reference import CLIP, MOST_CLASSES, MOST_FIELDS, TABLES, Reference, odd, word_hash
from safelight.guard.seen import Seen
from safelight.guard.window import Facts

LEAST = 60
"""Different records that a reference is fitted to."""
MOST = 2000
"""Different records that are looked at; more hardly changes it."""
FEW = 8
"""Normal records of a class that say where it lies."""
AXES = 48
"""Directions that a reference holds at the most."""


@dataclass(frozen=True)
class Fitted:
    """A reference, and what reads the records that it was fitted to as if they were new.

    Attributes:
        reference: of the guard; its directions are those of the first part.
        parts: with directions from all records but those of one part each.
        centres: tell the parts.
        reach: share of hashes that new records share with the training records, where all are of one kind.
    """

    reference: Reference
    parts: tuple[Reference, ...]
    centres: Centres
    reach: float = 0.0

    def named(self, names: Names) -> Fitted:
        """Return the same with names (d,) of the values, in the order of the records that it was fitted to."""
        return replace(self, reference=replace(self.reference, names=names))

    def read(self, seen: Seen) -> Facts:
        """Read a call as `Reference.read` does, each record by what was fitted without records like it."""
        facts = self.reference.read(seen)
        if not len(self.parts):  # a language model's: nothing was fitted
            return facts
        ordered, odd_ones = self.reference.columns.read(seen.x, seen.names)
        if odd_ones:  # they are as far from normal as can be, whatever was fitted
            return facts
        x, _ = self.reference.numbers(ordered)
        part = self.centres.parts(x)
        for number in np.unique(part):
            rows = part == number
            facts.numbers[rows, :2] = self.reference.surprise(self.parts[number].sketch(x[rows])[1])
        return facts


def fit_reference(x: Array, answers: Array, secret: bytes, rng: Generator, training: Array | None = None) -> Fitted:
    """Fit a reference to normal traffic.

    How far off normal records lie, and what tells them from made-up ones, is learnt from records that are unlike those
    that gave the directions and centres, part by part: records of tomorrow are new, too.

    Args:
        x: (n, d) records, float64, or object where some are words.
        answers: of the model to each of them: (n, k) scores, or (n,) labels or predictions.
        secret: key of the hashes.
        rng: draws the parts and the made-up records.
        training: (m, d) records that the model was trained on, kept as hashes of coarse sketches.

    Raises:
        InputError: there are fewer than 60 different records, or the training records have other values.
    """
    words = {c: _codes(x[:, c], secret) for c in range(x.shape[1])} if x.dtype == object else {}
    words = {column: codes for column, codes in words.items() if codes}
    bare = _bare(x.shape[1], words, answers, secret)
    plain, bits = bare.numbers(x)
    plain = plain.astype(float)
    _, first = np.unique((bits * odd(secret, b"record", x.shape[1])).sum(axis=1, dtype=np.uint64), return_index=True)
    if len(first) < LEAST:
        raise InputError(
            f"The recorded traffic holds {len(first)} different records, and a reference needs at least {LEAST}; "
            "record for longer."
        )
    if training is not None and training.shape[1:] != x.shape[1:]:
        raise InputError(
            f"The training records have {training.shape[-1]} values each and the recorded traffic {x.shape[1]}; give "
            "records as the model takes them."
        )
    some = plain[rng.permutation(first)[:MOST]]
    facts = {name: value for name, value in vars(bare).items() if not name.startswith("_")}
    group, centres = folds(some, rng)
    q = max(1, min(AXES, (len(some) - int(np.bincount(group).max())) // 8, x.shape[1] - 1))
    real: list[Array] = []
    made: list[Array] = []
    parts: list[Reference] = []
    for part in range(FOLDS):  # records are judged by what was learnt from records unlike them
        ours, theirs = some[group != part], some[group == part]
        sketcher = Reference(**facts | directions(ours, q, rng))
        parts.append(sketcher)
        real.append(np.stack([_features(sketcher, x) for x in [theirs, *worn(theirs, rng)]]))
        made.append(_features(sketcher, made_up(ours, rng, 4 * len(theirs))))
    looks = []
    for part in range(FOLDS):
        others = [place for place in range(FOLDS) if place != part]
        shape = tells(np.hstack([real[place] for place in others]), np.vstack([made[place] for place in others]))
        looks.append(Reference(**facts | {"shape": shape}).made(real[part][0]))
    for name in DIRECTIONS:  # not of all records: it would read those that come as less new than those it learnt from
        facts[name] = getattr(parts[0], name)
    facts["shape"] = tells(np.hstack(real), np.vstack(made))
    facts["madeness"] = _table(np.concatenate(looks))
    plainly = np.concatenate([held[0] for held in real])
    facts["off"] = float(np.median(plainly[:, -5]) - np.log(facts["width"]))
    facts["farness"] = _table(Reference(**facts).far(plainly))
    z = _z(Reference(**facts), some)
    facts["nearness"] = _table(-np.log(_nearest(z[:500], z, rng)))
    facts |= _classes(Reference(**facts), plain[first], answers[first])
    if x.shape[1] <= MOST_FIELDS:
        facts["usual"] = _usual(bits, odd(secret, b"field", x.shape[1]))
    reach = 0.0
    if training is not None:
        hashed, reach = _hashed(facts, training, rng)
        facts |= hashed
    return Fitted(Reference(**facts), tuple(parts), centres, reach)


def of_texts(secret: bytes, passages: Passages) -> Fitted:
    """Return the reference of a language model: its records have no values, so that there is nothing to fit.

    Args:
        secret: key of the hashes.
        passages: of the texts that the model was trained on.
    """
    bare = replace(_bare(0, {}, np.empty(0), secret), width=0, passages=passages)
    return Fitted(bare, (), Centres(np.empty(0), np.empty((0, 0)), np.empty((0, 0)), np.empty(0, int)))


def _classes(reference: Reference, x: Array, answers: Array) -> dict[str, Array]:
    """Return what share of normal records x (n, d) each class has, and where its sketches lie."""
    label = reference.answered(answers, len(x))[0]
    count = int(label.max()) + 1
    if count > MOST_CLASSES:
        return {}
    z = np.clip(_z(reference, x), -CLIP, CLIP)
    means, spreads = np.zeros((2, count, z.shape[1]))
    sizes = np.bincount(label, minlength=count)
    for one in np.flatnonzero(sizes >= FEW):
        own = z[label == one]
        means[one], spreads[one] = own.mean(axis=0), own.std(axis=0)
    return {"mix": sizes / len(x), "class_means": means, "class_spreads": spreads}


def _hashed(facts: dict[str, Any], training: Array, rng: Generator) -> tuple[dict[str, Array], float]:
    """Return the parts of a reference that hold hashes of training records (m, d), and what `Fitted.reach` says."""
    count = len(training)
    g = int(np.clip(np.ceil(np.log(max(count, 2)) / np.log(1 / 0.28)) + 5, 1, facts["width"]))
    grid = rng.random((TABLES, g))
    hasher = Reference(**facts | {"grid": grid})
    z = _z(hasher, hasher.numbers(training)[0])
    hashes = hasher.hashes(z)
    reach = _fresh(hashes, z, max(FEW, count // max(len(facts["mix"]), 1)), rng)
    return {"grid": grid, "training": np.sort(hashes.T, axis=1)}, reach


def _fresh(hashes: Array, z: Array, kind: int, rng: Generator) -> float:
    """Return the share of hashes (n, t) that a client's new records share with those of the training, at the most.

    Normal traffic need not show it: it may come from people whom the model does not know. Each training record is taken
    as new to the others (leave one out), and a client as one who asks about a record and those nearest to it, as many
    as a class has.

    Args:
        hashes: (n, t) of the sketches.
        z: (n, p) sketches.
        kind: records that such a client asks about.
        rng: draws at most 500 such clients.
    """
    shared = np.zeros(len(z))
    for column in hashes.T:
        _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
        shared += (counts > 1)[place]
    most, squares = 0.0, np.vecdot(z, z)
    for one in rng.permutation(len(z))[:500]:
        apart = squares - 2 * z @ z[one]
        nearest = np.argpartition(apart, kind - 1)[:kind] if len(z) > kind else np.arange(len(z))
        most = max(most, float(shared[nearest].mean()))
    return most / hashes.shape[1]


def _bare(d: int, words: Mapping[int, Mapping[int, float]], answers: Array, secret: bytes) -> Reference:
    """Return a reference that can turn records into numbers, and no more."""
    classes = np.empty(0, "U1")
    if answers.ndim == 1 and answers.dtype.kind in "OUS":
        classes = np.unique(answers.astype(str))
    scored = answers.ndim == 2 and 2 <= answers.shape[1] <= MOST_CLASSES
    f = 1
    return Reference(
        mean=np.zeros(d), spread=np.ones(d), axes=np.zeros((1, d)), sizes=np.ones(1), width=1, bands=np.array([0, 1]),
        centres=np.zeros((1, 1)), shape=(np.zeros(f), np.ones(f), np.zeros(1 + f + f * (f + 1) // 2)),
        off=0.0, farness=np.arange(2.0), madeness=np.arange(2.0), nearness=np.arange(2.0), words=words,
        classes=classes, width_classes=answers.shape[1] if scored else 0,
        mix=np.empty(0), class_means=np.zeros((0, 1)), class_spreads=np.zeros((0, 1)),
        usual=(np.empty(0, np.int64), np.empty(0)), grid=np.zeros((TABLES, 1)),
        training=np.empty((TABLES, 0), np.uint64), secret=secret,
    )  # fmt: skip


def _codes(column: Array, secret: bytes) -> dict[int, float]:
    """Return a number for each word of a column: minus the log of its share; empty for a column of numbers."""
    if not any(isinstance(value, str) for value in column):
        return {}
    counts = Counter(word_hash(secret, value) for value in column)
    codes = {word: float(-np.log(count / len(column))) for word, count in counts.items()}
    return codes | {0: float(-np.log(0.5 / len(column)))}


def _features(reference: Reference, x: Array) -> Array:
    return reference.sketch(x.astype(np.float32))[1]


def _nearest(z: Array, all_z: Array, rng: Generator) -> Array:
    nearest = []
    for one in z:
        others = all_z[rng.integers(0, len(all_z), 128)]
        apart = ((others - one) ** 2).sum(axis=1)
        nearest.append(np.sqrt(apart[apart > 1e-8].min(initial=np.inf)))
    return np.array(nearest)[np.isfinite(nearest)]


def _usual(bits: Array, factors: Array) -> tuple[Array, Array]:
    n, d = bits.shape
    hashes = ((bits * factors) >> np.uint64(48)).astype(np.int64) + (np.arange(d) << 16)
    keys, counts = np.unique(hashes, return_counts=True)
    common = counts >= 0.01 * n
    return keys[common], counts[common] / n


def _table(values: Array) -> Array:
    middle, high = np.quantile(values, [0.5, 0.9])
    return np.array([middle, max(high, middle + 1e-3)])


def _z(reference: Reference, x: Array) -> Array:
    return reference.sketch(x.astype(np.float32))[0]
