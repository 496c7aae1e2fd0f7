"""Shadow models: the recipe trained again on halves of the attacker's records, each once, whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.compute.ledger import Ledger, key_of
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
        jobs: worker processes; 1 trains in this one.
    """

    recipe: Recipe
    seed: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    jobs: int = 1

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
        """
        asked = train if asked is None else asked
        data, about = train.digest, asked.digest
        inside = halves(train, count, np.random.default_rng([self.seed, int(data[:8], 16)]))
        keys = [key_of(self.recipe.key, data, row.tobytes().hex(), about, str(self.seed)) for row in inside]
        found = [self.ledger.get(key) for key in keys]
        missing = [number for number, answer in enumerate(found) if answer is None]
        for number, answer in zip(missing, self._trained(train, inside[missing], asked)):
            self.ledger.put(keys[number], answer)
            found[number] = answer
        return np.stack([answer for answer in found if answer is not None]), inside

    def _trained(self, train: Records, inside: Array, asked: Records) -> Iterator[Array]:
        """Yield the answers (m, ...) of one shadow a row of `inside`, in order, as they are ready."""
        seeds = [int(key_of(row.tobytes().hex(), str(self.seed))[:7], 16) for row in inside]
        if isinstance(self.recipe, StacksModels) and self.recipe.stacks(train):
            for start in range(0, len(inside), CHUNK):
                chunk = slice(start, start + CHUNK)
                for target in self.recipe.fit_many(train, inside[chunk], seeds[chunk]):
                    yield answers_of(target, asked)
            return
        work = (delayed(_train_and_ask)(self.recipe, train.take(row), seed, asked) for row, seed in zip(inside, seeds))
        if self.jobs == 1:
            yield from (function(*arguments) for function, arguments, _ in work)
            return
        with parallel_config(backend="loky", inner_max_num_threads=1):
            yield from Parallel(n_jobs=self.jobs, return_as="generator")(work)


def _train_and_ask(recipe: Recipe, records: Records, seed: int, asked: Records) -> Array:
    return answers_of(recipe.fit(records, seed), asked)


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
