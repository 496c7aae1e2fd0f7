"""Search without gradients: three ways to climb, for all classes at once.

Each strategy holds one place per class. `ask` gives the latents to try, `tell` takes what they were worth; only the
order of the values, or their standardised size, matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator


class Strategy(Protocol):
    """One climb.

    Attributes:
        place: (classes, size) the best guess so far.
    """

    place: Array

    def ask(self, rng: Generator) -> Array:
        """Return latents to try (classes, population, size)."""
        ...

    def tell(self, z: Array, values: Array) -> None:
        """Learn what they were worth: values (classes, population), higher is better."""
        ...


class Nes:
    """Natural evolution strategies with antithetic pairs and momentum (Ilyas et al. 2018, algorithm 1).

    Args:
        place: (classes, size) where to start.
        population: latents a class and round; an even number, at least 2.
        confine: brings latents back to where they are plausible.
        spread: how far from the place they lie, in latent units.
        step: how far a round moves.
        momentum: share of the last move that goes on.
    """

    def __init__(
        self,
        place: Array,
        population: int,
        confine: Callable[[Array], Array],
        spread: float = 0.5,
        step: float = 0.25,
        momentum: float = 0.5,
    ) -> None:
        self.place, self._half, self._confine = place, max(1, population // 2), confine
        self._spread, self._step, self._momentum = spread, step, momentum
        self._move = np.zeros_like(place)

    def ask(self, rng: Generator) -> Array:
        classes, size = self.place.shape
        noise = self._spread * rng.standard_normal((classes, self._half, size))
        return self.place[:, None] + np.concatenate([noise, -noise], axis=1)

    def tell(self, z: Array, values: Array) -> None:
        noise = (z - self.place[:, None]) / self._spread
        self._move = self._momentum * self._move + (standardised(values)[:, :, None] * noise).mean(axis=1)
        self.place = self._confine(self.place + self._step * self._move)


class SeparableCma:
    """CMA-ES with a diagonal covariance (Ros and Hansen 2008, table 1), one for each class.

    Args:
        place: (classes, size) where to start.
        population: latents a class and round (>= 2).
        confine: brings the place back to where it is plausible.
        spread: standard deviation of the first round.
    """

    def __init__(self, place: Array, population: int, confine: Callable[[Array], Array], spread: float = 0.5) -> None:
        classes, size = place.shape
        self._confine = confine
        self.place, self._sigma, self._variance = place, np.full((classes, 1), spread), np.ones((classes, size))
        self._path, self._step_path, self._round = np.zeros_like(place), np.zeros_like(place), 0
        self._population, self._parents = population, max(1, population // 2)
        raw = np.log(self._parents + 0.5) - np.log(np.arange(1, self._parents + 1))
        self._weights = raw / raw.sum()
        self._mass = mass = 1 / (self._weights**2).sum()
        self._rate_step = (mass + 2) / (size + mass + 3)
        self._damping = 1 + 2 * max(0, np.sqrt((mass - 1) / (size + 1)) - 1) + self._rate_step
        self._rate_path = 4 / (size + 4)
        full = 2 / mass / (size + np.sqrt(2)) ** 2 + (1 - 1 / mass) * min(1, (2 * mass - 1) / ((size + 2) ** 2 + mass))
        self._rate_variance = min(1, (size + 2) / 3 * full)
        self._length = np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))

    def ask(self, rng: Generator) -> Array:
        classes, size = self.place.shape
        noise = rng.standard_normal((classes, self._population, size))
        return self.place[:, None] + (self._sigma * np.sqrt(self._variance))[:, None] * noise

    def tell(self, z: Array, values: Array) -> None:
        self._round += 1
        deviation = np.sqrt(self._variance)
        best = np.argsort(-values, axis=1, kind="stable")[:, : self._parents]
        steps = (np.take_along_axis(z, best[:, :, None], axis=1) - self.place[:, None]) / self._sigma[:, None]
        move = (self._weights[:, None] * steps).sum(axis=1)
        self.place = self._confine(self.place + self._sigma * move)
        rate, mass = self._rate_step, self._mass
        self._step_path = (1 - rate) * self._step_path + np.sqrt(rate * (2 - rate) * mass) * move / deviation
        length = np.linalg.norm(self._step_path, axis=1, keepdims=True)
        grown = np.sqrt(1 - (1 - rate) ** (2 * self._round))
        steady = length / grown < (1.4 + 2 / (move.shape[1] + 1)) * self._length
        rate_path = self._rate_path
        self._path = (1 - rate_path) * self._path + steady * np.sqrt(rate_path * (2 - rate_path) * mass) * move
        rate_variance = self._rate_variance
        spread = (self._weights[:, None] * steps**2).sum(axis=1)
        self._variance = (1 - rate_variance) * self._variance + rate_variance * (
            self._path**2 / mass + (1 - 1 / mass) * spread
        )
        self._sigma = self._sigma * np.exp(rate / self._damping * (length / self._length - 1))


class Genetic:
    """A genetic search as in MIRROR (An et al. 2022, section 4.3).

    Parents are drawn by softmax of their value, crossed number by number in favour of the better one, and mutated; the
    best one is kept.

    Args:
        place: (classes, size) the best start.
        population: latents a class and round (>= 2).
        confine: brings latents back to where they are plausible.
        rate: share of numbers that mutate.
        spread: how far a mutation goes.
    """

    def __init__(
        self,
        place: Array,
        population: int,
        confine: Callable[[Array], Array],
        rate: float = 0.1,
        spread: float = 0.5,
    ) -> None:
        self.place, self._population, self._confine, self._rate, self._spread = place, population, confine, rate, spread
        self._pool: Array | None = None
        self._worth = np.full(len(place), -np.inf)
        self._values = np.empty(0)

    def ask(self, rng: Generator) -> Array:
        classes, size = self.place.shape
        shape = (classes, self._population, size)
        if self._pool is None:
            return self._confine(self.place[:, None] + self._spread * rng.standard_normal(shape))
        chance = softmax(self._values)
        ahead = chance.cumsum(axis=1)[:, None]
        drawn = np.minimum((rng.random((classes, 2 * self._population, 1)) > ahead).sum(axis=2), chance.shape[1] - 1)
        first, second = np.split(np.take_along_axis(self._pool, drawn[:, :, None], axis=1), 2, axis=1)
        fit, rival = np.split(np.take_along_axis(chance, drawn, axis=1), 2, axis=1)
        child = np.where(rng.random(shape) < (fit / (fit + rival))[:, :, None], first, second)
        mutant = (rng.random(shape) < self._rate) * self._spread * rng.uniform(-1, 1, shape)
        child = self._confine(child + mutant)
        child[:, 0] = self.place
        return child

    def tell(self, z: Array, values: Array) -> None:
        self._pool, self._values = z, values
        best = values.argmax(axis=1)
        rows = np.arange(len(z))
        better = values[rows, best] >= self._worth
        self.place = np.where(better[:, None], z[rows, best], self.place)
        self._worth = np.where(better, values[rows, best], self._worth)


def standardised(values: Array) -> Array:
    """Return each row with mean 0 and standard deviation 1; a row of equal values becomes 0: a plateau moves nobody."""
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-9)


def softmax(values: Array) -> Array:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
