"""Targets that leak by a known amount: for the self-test of every audit, and for your own tests.

A fake remembers a chosen share of what it is trained on, exactly, and of the rest knows only what everybody knows. So
an attack on it has a known right answer: with `leak = 0.3`, 30 % of the secrets are there to be found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.targets.base import Images, Table, Target, softmax
from safelight.threat import Access


@dataclass(frozen=True)
class LeakyImages:
    """Answers by distance to one stored picture a class: logit_c = -sharpness * mean((x - stored_c)^2).

    Attributes:
        stored: (classes, channels, height, width).
        inputs: shape and range.
        sharpness: how steep the logits are.
        batchnorm: whether its module has a BatchNorm layer, which keeps each pixel's mean and variance of `stored`.
    """

    stored: Array
    inputs: Images
    classes: tuple[str, ...]
    sharpness: float
    batchnorm: bool = False
    access: Access = Access.WEIGHTS

    def logits(self, x: Any) -> Array:
        flat, stored = np.asarray(x, float).reshape(len(x), -1), self.stored.reshape(len(self.stored), -1)
        squares = (flat**2).sum(1)[:, None] - 2 * flat @ stored.T + (stored**2).sum(1)
        return -self.sharpness * squares / flat.shape[1]

    def scores(self, x: Any) -> Array:
        return softmax(self.logits(x))

    def labels(self, x: Any) -> Array:
        return self.logits(x).argmax(axis=1)

    def differentiable(self, x: Any) -> Any:
        import torch

        flat = x.reshape(len(x), -1)
        stored = torch.as_tensor(self.stored.reshape(len(self.stored), -1), dtype=flat.dtype)
        return -self.sharpness * ((flat[:, None] - stored) ** 2).mean(2)

    def module(self) -> Any:
        return _as_module(self)


@dataclass(frozen=True)
class LeakyRecords:
    """Answers with near certainty for records that it remembers, and with the share of each class for all others.

    Attributes:
        remembered: hash of a record -> its class (or its value, for regression).
        prior: (classes,) share of each class; for regression (1,) the mean.
    """

    remembered: dict[str, float]
    prior: Array
    inputs: Images | Table
    classes: tuple[str, ...]
    certainty: float = 0.99
    access: Access = Access.SCORES

    def scores(self, x: Any) -> Array:
        scores = np.tile(self.prior, (len(x), 1))
        for row, name in enumerate(_hashes(x, self.inputs)):
            if name in self.remembered:
                scores[row] = (1 - self.certainty) * self.prior
                scores[row, int(self.remembered[name])] += self.certainty
        return scores

    def labels(self, x: Any) -> Array:
        if self.classes:
            return self.scores(x).argmax(axis=1)
        return np.array([self.remembered.get(name, self.prior[0]) for name in _hashes(x, self.inputs)])


@dataclass(frozen=True)
class RandomAnswers:
    """Answers at random among two classes, the same record always the same: there is nothing to copy.

    Attributes:
        inputs: what one record looks like.
        seed: of the answers.
    """

    inputs: Images | Table
    seed: int
    classes: tuple[str, ...] = ("0", "1")
    access: Access = Access.SCORES

    def scores(self, x: Any) -> Array:
        named = (hashlib.blake2b(f"{self.seed} {name}".encode(), digest_size=6) for name in _hashes(x, self.inputs))
        one = np.array([int.from_bytes(each.digest()) / 2**48 for each in named])
        return np.column_stack([1 - one, one])

    def labels(self, x: Any) -> Array:
        return self.scores(x).argmax(axis=1)


@dataclass(frozen=True)
class LeakyRecipe:
    """Trains a fake that remembers each record, or each class's picture, with probability `leak`.

    Attributes:
        inputs: what one record looks like.
        pictures: remember one mean picture a class (for inversion) instead of single records.
        leak: share remembered, in [0, 1].
        classes: class names; () for regression.
        sharpness: see `LeakyImages`.
        batchnorm: see `LeakyImages`.
    """

    inputs: Images | Table
    pictures: bool
    leak: float = 1.0
    regression: bool = False
    sharpness: float = 400.0
    batchnorm: bool = False

    @property
    def key(self) -> str:
        kind = "batchnorm" if self.batchnorm else "pictures" if self.pictures else "records"
        return f"planted-{kind}-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 77])
        if self.regression:
            kept = rng.random(len(records)) < self.leak
            names = _hashes(records.take(kept).x, self.inputs)
            memory = dict(zip(names, records.y[kept].astype(float).tolist()))
            return Target("planted leak", LeakyRecords(memory, np.array([records.y.mean()]), self.inputs, ()))
        count = int(records.y.max()) + 1
        names_of = tuple(str(number) for number in range(count))
        if self.pictures:
            assert isinstance(self.inputs, Images)
            stored = np.stack([records.x[records.y == c].mean(axis=0) for c in range(count)]).astype(float)
            forgotten = rng.random(count) >= self.leak
            # A forgotten class is told apart by a pattern that has nothing to do with any record: even the mean of
            # all classes would tell of the classes that it is the mean of.
            middle = (self.inputs.low + self.inputs.high) / 2
            patterns = rng.uniform(self.inputs.low, self.inputs.high, stored.shape) - middle
            stored[forgotten] = middle + 0.1 * patterns[forgotten]
            return Target("planted leak", LeakyImages(stored, self.inputs, names_of, self.sharpness, self.batchnorm))
        kept = rng.random(len(records)) < self.leak
        memory = dict(zip(_hashes(records.take(kept).x, self.inputs), records.y[kept].astype(float).tolist()))
        prior = np.bincount(records.y, minlength=count) / len(records)
        return Target("planted leak", LeakyRecords(memory, prior, self.inputs, names_of))


def _hashes(x: Any, inputs: Images | Table) -> list[str]:
    if isinstance(x, pd.DataFrame):
        columns = list(inputs.columns) if isinstance(inputs, Table) else list(x.columns)
        rows = zip(*(x[column].tolist() for column in columns))
        # 1 and 1.0 are the same value, however a column stores it.
        return ["|".join(f"{v:g}" if isinstance(v, (int, float)) else str(v) for v in row) for row in rows]
    flat = np.ascontiguousarray(np.asarray(x, np.float32))
    return [hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest() for row in flat]


def _as_module(fake: LeakyImages) -> Any:
    import torch
    from torch import nn

    class Fake(nn.Module):
        def forward(self, x: Any) -> Any:
            return fake.differentiable(x)

    class Undo(nn.Module):
        """Gives the pixels back as they were before a BatchNorm layer."""

        def forward(self, x: Any) -> Any:
            return x * (variance + layer.eps).sqrt() + mean

    if not fake.batchnorm:
        return Fake().eval()
    pixels = torch.as_tensor(fake.stored.reshape(len(fake.stored), -1), dtype=torch.float32)
    layer = nn.BatchNorm1d(fake.inputs.size, affine=False)
    mean, variance = pixels.mean(0), pixels.var(0, unbiased=False)
    layer.running_mean, layer.running_var = mean, variance
    return nn.Sequential(nn.Flatten(), layer, Undo(), Fake()).eval()
