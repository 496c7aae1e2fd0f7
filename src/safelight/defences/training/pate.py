"""PATE: teachers on disjoint records vote, noise hides one vote, and a student learns from public records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.defences.guarantee import Guarantee, check_delta, noise_seed
from safelight.defences.training.public import public_for
from safelight.errors import InputError
from safelight.measures.gaussian_dp import mu_of_epsilon
from safelight.measures.trade_off import DpSgd
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class Pate(InTraining):
    """Let many teachers label public records by a noisy vote, and give out only a student of these labels.

    What it does: the private records are dealt out to teachers, one each. The teachers vote on the class of public
    records, noise is added to the counts of votes, and the same recipe trains the model that is given out on the
    winners. A private record moves one vote of one teacher.
    Evidence for: a proof for any kind of model, however the teachers are trained (Papernot et al. 2017,
    arXiv:1610.05755; 2018, arXiv:1802.08908).
    Evidence against: the promise is about one record. Each answered public record costs privacy, so the student sees
    few labels or noisy ones. Teachers of few records vote badly.
    Cost: as many trainings as teachers and one more; public records of the same classes are needed; accuracy, most
    where there are few private records a teacher.

    Unit and adjacency: one record more or less (add-remove). The number of classes counts as known, and the public
    records as public. A search over settings on the private records is not counted.

    GNMax: the winner is the largest count with Gaussian noise of scale sigma on each. A record more changes one
    teacher, which moves one vote an answer: two counts by 1, sqrt(2) in length. The noisy counts of m answers are
    mu-GDP together with mu = sqrt(2 m) / sigma (Dong, Roth and Su 2019, corollary 3.3), and sigma is the one at which
    that is (epsilon, delta). By RDP an answer costs alpha / sigma^2 at order alpha (Papernot et al. 2018, proposition
    8). The accounting does not look at the votes: one that does gives less where teachers agree, and is private itself.

    Attributes:
        epsilon: promised, in nats (> 0).
        delta: chance that the promise may fail, in (0, 1), at most one over the number of records.
        teachers: number of disjoint parts (>= 2).
        queries: public records that are answered, drawn at random (>= 1); None for all.
        public: records of other people; their own labels are not used.
        repeatable: parts, queries and noise follow the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "pate"
    title: ClassVar[str] = "PATE"
    source: ClassVar[str] = "Papernot et al. 2018, ICLR, arXiv:1802.08908, section 4.1"

    epsilon: float = 8.0
    delta: float = 1e-5
    teachers: int = 20
    queries: int | None = 100
    public: Records | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    @property
    def answers(self) -> int:
        """The number of public records that are answered.

        Raises:
            InputError: there are no public records, and `queries` does not say it either.
        """
        counts = [count for count in (self.queries, None if self.public is None else len(self.public)) if count]
        if not counts:
            raise InputError(f"{self.title} has no public records to count; set public = the records of other people.")
        return min(counts)

    def sigma(self) -> float:
        """Return the scale of the noise on each count of votes."""
        return math.sqrt(2 * self.answers) / mu_of_epsilon(self.epsilon, self.delta)

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what a training on n records promises.

        Raises:
            InputError: delta is above 1/n, or nothing says how many public records are answered.
        """
        check_delta(self.delta, n)
        each = DpSgd(self.sigma() / math.sqrt(2), 1.0, self.answers)
        how = (
            f"{self.answers} noisy votes of {self.teachers} teachers were given out, accounted without looking at them"
        )
        return Guarantee(
            self.epsilon, self.delta, each.epsilon_rdp(self.delta), each.sigma, steps=self.answers, how=how
        )

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        check_delta(self.delta, len(records))
        if np.asarray(records.y).dtype.kind not in "iu":
            raise InputError(f"{self.title} votes on classes, and the answers are real numbers; give a classifier.")
        if len(records) < 2 * self.teachers:
            raise InputError(
                f"{len(records)} records are too few for {self.teachers} teachers; take at most {len(records) // 2}."
            )
        public = public_for(self, records)
        scale, classes = self.sigma(), int(records.y.max()) + 1
        if self.answers < classes:
            raise InputError(
                f"{self.answers} public records are answered and there are {classes} classes; answer at least one a "
                "class."
            )
        rng = np.random.default_rng(np.random.SeedSequence([noise_seed(seed, self.repeatable), 0xD95]))
        asked = public.take(rng.permutation(len(public))[: self.answers])
        # Each record draws its own teacher, so that one more record leaves all others where they are.
        own = rng.integers(0, self.teachers, len(records))
        seeds = rng.integers(0, 2**31, self.teachers)
        given = [
            self._vote(recipe, records.take(own == number), asked, int(start)) for number, start in enumerate(seeds)
        ]
        return recipe.fit(asked.relabelled(winners(given, classes, scale, rng)), seed)

    def _vote(self, recipe: Recipe, part: Records, asked: Records, seed: int) -> Array:
        """Return a teacher's classes (m,); one whose part has no two classes names the only one it knows."""
        met = np.unique(part.y)
        if len(met) < 2:
            return np.full(len(asked), met[0] if len(met) else 0)
        return np.asarray(recipe.fit(part, seed).model.labels(asked.x))


def winners(votes: Sequence[Array], classes: int, scale: float, rng: Generator) -> Array:
    """Return the classes (m,) with most votes after noise of standard deviation `scale`; votes hold (m,) a teacher.

    A class that wins nowhere gets the record where it came closest, from a class that has others, so that the student
    knows them all. That reads the noisy counts alone, whose release is what the accounting is about.
    """
    counts = sum(np.eye(classes)[np.asarray(one, dtype=int)] for one in votes)
    noisy = np.asarray(counts + scale * rng.normal(size=np.shape(counts)))
    won = noisy.argmax(axis=1)
    for missing in np.setdiff1d(np.arange(classes), won):
        spare = np.flatnonzero(np.bincount(won, minlength=classes)[won] > 1)
        short = noisy[spare, missing] - noisy[spare].max(axis=1)
        won[spare[short.argmax()]] = missing
    return won
