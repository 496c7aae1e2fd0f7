"""Shadow models: the recipe trained again on halves of the attacker's records, each once, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.compute.engine import Engine, run
from safelight.compute.ledger import Ledger, key_of
from safelight.compute.worker import Task
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.recipes.base import Recipe, StacksModels
from safelight.targets.base import Target

CHUNK = 16
"""Models trained as one stacked program: more are no faster, and memory grows with the chunk alone."""


@dataclass(frozen=True)
class ShadowPool:
    """Trains shadow models in complementary pairs and keeps what they answer.

    Which half a shadow is trained on depends on the records, the seed and its number alone. So every attack of an
    audit that asks for the same records shares the same shadows, and a later audit with more of them trains only the
    difference.

    Attributes:
        recipe: how a shadow is trained.
        seed: of the halves and of the trainings.
        ledger: where answers are kept.
        engine: where the trainings run; the answers are the same whatever it is.
    """

    recipe: Recipe
    seed: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    engine: Engine = field(default_factory=Engine)

    def answers(self, train: Records, count: int, asked: Records | None = None) -> tuple[Array, Array]:
        """Train `count` shadows on halves of `train` and ask each about all records of `asked`.

        Args:
            train: what the attacker holds; every record is in for half of the shadows, and out for their partners.
            count: an even number keeps every record in and out equally often.
            asked: m records; those of `train` when left out.

        Returns:
            probabilities (count, m, classes) float64, or predictions (count, m) for regression; and which records of
            `train` each shadow was trained on (count, n) bool.

        Raises:
            InputError: a class has fewer than two records, so that a half would lack it.
            WorkersLost: worker processes died again and again.
        """
        asked = train if asked is None else asked
        groups = self._groups(train, count)
        inside = halves(train, groups[-1].stop, np.random.default_rng([self.seed, int(train.digest[:8], 16)]))
        return self._asked(train, inside, asked, groups, count), inside[:count]

    def trained(self, train: Records, inside: Array, asked: Records) -> Array:
        """Train one shadow a row of `inside` (count, n) bool and ask each about all records of `asked`.

        Returns:
            as `answers`: probabilities (count, m, classes), or predictions (count, m).

        Raises:
            WorkersLost: worker processes died again and again.
        """
        count = len(inside)
        groups = [slice(group.start, min(group.stop, count)) for group in self._groups(train, count)]
        return self._asked(train, inside, asked, groups, count)

    def _groups(self, train: Records, count: int) -> list[slice]:
        """Return which shadows are trained as one program, up to `count` or beyond."""
        stacked = isinstance(self.recipe, StacksModels) and self.recipe.stacks(train)
        return stacks(count) if stacked else [slice(number, number + 1) for number in range(count)]

    def _asked(self, train: Records, inside: Array, asked: Records, groups: list[slice], count: int) -> Array:
        """Return the answers of the first `count` shadows, from the ledger where they are kept."""
        data, about = train.digest, asked.digest
        seeds = [int(key_of(row.tobytes().hex(), str(self.seed))[:7], 16) for row in inside]
        keys = [key_of(self.recipe.key, data, row.tobytes().hex(), about, str(self.seed)) for row in inside]
        kept = ((key, self.ledger.get(key)) for key in keys[:count])
        found = {key: answer for key, answer in kept if answer is not None}
        tasks = [
            Task(tuple(keys[group]), (inside[group], seeds[group]))
            for group in groups
            if any(key not in found for key in keys[group][: count - group.start])
        ]
        found |= dict(run(self.engine, self.ledger, TrainAndAsk(self.recipe, train, asked), tasks))
        return np.stack([found[key] for key in keys[:count]])


@dataclass(frozen=True)
class TrainAndAsk:
    """The work of one task: some shadows, and what they answer about `asked`."""

    recipe: Recipe
    train: Records
    asked: Records

    def __call__(self, inside: Array, seeds: Sequence[int]) -> list[Array]:
        """Return the answers (m, ...) of one shadow a row of `inside` (models, n); several train as one program."""
        if len(seeds) > 1 and isinstance(self.recipe, StacksModels):
            targets = self.recipe.fit_many(self.train, inside, seeds)
        else:
            targets = [self.recipe.fit(self.train.take(row), seed) for row, seed in zip(inside, seeds)]
        return [answers_of(target, self.asked) for target in targets]


def stacks(count: int) -> list[slice]:
    """Return which shadows are trained as one program, to `count` or beyond: 4, 4 more, 8 more, then 16 at a time.

    Rounding depends on how many are stacked. So a shadow has the same neighbours however many are asked for and
    wherever an audit was interrupted, and an audit that doubles its shadows trains none too early. Those beyond `count`
    wait in the ledger.
    """
    edges = [0, 4, 8, *range(CHUNK, count + CHUNK, CHUNK)]
    return [slice(start, stop) for start, stop in pairwise(edges) if start < count]


def answers_of(target: Target, asked: Records) -> Array:
    """Return probabilities (m, classes), or predictions (m,) for regression."""
    model = target.model
    return np.asarray(model.scores(asked.x) if model.classes else model.labels(asked.x), dtype=float)


def halves(records: Records, count: int, rng: Generator) -> Array:
    """Return which records each shadow is trained on (count, n) bool: complementary pairs of random halves.

    Each half holds half of every class. The first rows are the same for any larger count.

    Raises:
        InputError: a class has fewer than two records, so that a half would lack it.
    """
    regression = np.asarray(records.y).dtype.kind == "f"
    groups = np.zeros(len(records), dtype=int) if regression else np.asarray(records.y, dtype=int)
    sizes = np.bincount(groups)
    if sizes.min() < 2:
        raise InputError(
            f"Class number {int(sizes.argmin())} has {int(sizes.min())} record(s) that the attacker holds; each shadow "
            "model learns from half of them, so give at least two of every class."
        )
    inside = np.zeros((count, len(records)), dtype=bool)
    for pair in range(0, count, 2):
        order = rng.permutation(len(records))
        order = order[np.argsort(groups[order], kind="stable")]
        inside[pair, order[::2]] = True
        inside[pair + 1 : pair + 2] = ~inside[pair]
    return inside
