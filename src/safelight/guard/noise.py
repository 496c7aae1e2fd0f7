"""Noise that a record keeps: drawn from the guard's key and the record, so that asking again shows nothing new."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.columns import by_name
from safelight.guard.policy import Noise, Outputs
from safelight.threat import Access

if TYPE_CHECKING:
    from safelight.guard.protocols.base import Question

STEPS = 65536
"""Steps of the grid of noisy numbers in one scale of the noise."""


@dataclass(frozen=True)
class Noisy(OnOutputs):
    """Disturb scores or predictions by Laplace noise of the record's own, then make them coarser.

    Scores become whole steps of a grid and get noise of whole steps, so that the digits of an answer tell nothing of
    the digits of a score (Mironov 2012, CCS). The noise is the floor of Laplace noise with a scale of `STEPS` steps.
    Two rows of scores are at most 2 apart (L1), two predictions `high - low`; so the probability of any answer differs
    by a factor of at most e^epsilon between any two models, whatever they were trained on (Dwork et al. 2006, TCC,
    section 3). What is done afterwards costs nothing: negative scores become 0 and rows sum to 1 again, or the label is
    the largest noisy score (report noisy max). The epsilons of several records add up.

    The noise comes from keyed hashes, which stand for chance to all who have not the key: of 64 bits a number, which
    hold each probability to a part in 100,000 within 20 scales, and end at 44.

    Attributes:
        noise: how much.
        coarse: what is done to the noisy scores.
        secret: 32 bytes, of the one model that the noise belongs to.
    """

    noise: Noise
    coarse: OnOutputs
    secret: bytes = field(repr=False)

    @property
    def access(self) -> Access:
        return self.coarse.access

    def keys(self, question: Question) -> Array:
        """Return the keyed hash (n,) uint64 of each record of a question.

        It is the same in whatever batch, order of names, or way to write a number a record comes.
        """
        x, names = by_name(question.x, question.names), sorted(question.names)
        about = repr((names, question.beside() if question.beside is not None else None)).encode()
        key = hmac.digest(self.secret, about, "sha256")
        if x.dtype == object:
            rows = [_written(row) for row in x.reshape(len(x), -1)]
        else:
            whole, size = (x.astype(np.float64) + 0.0).tobytes(), 8 * (x.size // len(x))  # -0 becomes 0
            rows = [whole[start : start + size] for start in range(0, len(x) * size, size)] if size else [b""] * len(x)
        hashed = [hashlib.blake2b(row, digest_size=8, key=key).digest() for row in rows]
        return np.frombuffer(b"".join(hashed), dtype=np.uint64)

    def harden(self, scores: Array, key: Array) -> Array:
        """Return noisy scores (n, classes), coarser as the policy says; see `OnOutputs.harden`."""
        rows, classes = np.maximum(scores, 0.0), scores.shape[1]
        grid = 2 / self.noise.epsilon / STEPS
        noisy = np.floor(rows / rows.sum(axis=1, keepdims=True) / grid) + self._drawn(key, classes)
        if self.access < Access.SCORES:
            return self.coarse.harden(noisy, key)
        left = np.maximum(noisy, 0.0)
        total = left.sum(axis=1, keepdims=True)
        left = np.where(total > 0, left / np.where(total > 0, total, 1.0), 1 / classes)
        return self.coarse.harden(left, key)

    def answers(self, predictions: Array, key: Array) -> Array:
        """Return noisy predictions (n,) in [low, high], which must be known."""
        low, high = self.noise.low, self.noise.high
        assert low is not None
        assert high is not None
        grid = (high - low) / self.noise.epsilon / STEPS
        noisy = np.floor((np.clip(predictions, low, high) - low) / grid) + self._drawn(key, 1)[:, 0]
        return self.coarse.answers(np.clip(low + noisy * grid, low, high), key)

    def _drawn(self, key: Array, count: int) -> Array:
        """Return noise (n, count) in whole steps."""
        start, size = self.secret + count.to_bytes(8, "big"), 8 * count
        drawn = [hashlib.shake_256(start + one.tobytes()).digest(size) for one in key]
        return laplace(np.frombuffer(b"".join(drawn), dtype="<u8").reshape(len(key), count))


def noisy(outputs: Outputs, key: bytes, place: str) -> OnOutputs:
    """Return what hardens answers as a policy says.

    Args:
        outputs: of the policy.
        key: of the guard; guards that share it disturb alike.
        place: the model that is asked; two places, or two settings of the noise, share none of it.
    """
    if outputs.noise is None:
        return outputs.defence
    return Noisy(outputs.noise, outputs.defence, _secret(key, place, outputs.noise))


@lru_cache(maxsize=256)
def _secret(key: bytes, place: str, noise: Noise) -> bytes:
    how = (noise.epsilon, noise.low, noise.high, noise.series)
    return hmac.digest(key, f"noise {how!r} {place}".encode(), "sha256")


def laplace(words: Array) -> Array:
    """Return the floor of Laplace noise of scale `STEPS`, as float64, for words of 64 random bits.

    The first bit is the sign; the rest, as a number u in (0, 1), gives -log u, by inversion.
    """
    size = -np.log(((words >> np.uint64(1)).astype(np.float64) + 0.5) * 2.0**-63) * STEPS
    return np.floor(np.where(words & np.uint64(1), size, -size))  # type: ignore[no-any-return]


def _written(row: Array) -> bytes:
    """Return a row that may hold words as bytes: one of numbers as any other, one of words never as long as numbers."""
    values = [_plain(value) for value in row]
    if all(isinstance(value, float) for value in values):
        return np.array(values, np.float64).tobytes()
    text = repr(values).encode()
    return text if len(text) % 8 else text + b" "


def _plain(value: object) -> object:
    """Return a value in the one way to write it: 1, 1.0 and true are one number."""
    return float(value) + 0.0 if isinstance(value, (bool, int, float, np.number)) else value
