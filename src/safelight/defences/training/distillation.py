"""Distillation: the model that is shown never saw a member, only what a teacher says of public records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.defences.training.public import public_for
from safelight.defences.training.teaching import classes_of, learn, says
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class Distillation(InTraining):
    """Show a student that learnt from public records what a teacher said of them.

    What it does: a teacher is trained on the members by the recipe and never shown. It labels public records; those
    that it is surest of train the student, by the same recipe. A torch student learns the teacher's scores, any other
    model the teacher's class.
    Evidence for: a student tells less of the members than its teacher at nearly the same accuracy (Shejwalkar &
    Houmansadr 2021, arXiv:1906.06589, sections 4 and 5).
    Evidence against: a student repeats what its teacher says near members, so that membership survives, the more so
    where public records are like the members or the members are poisoned (Jagielski et al. 2023, arXiv:2303.03446).
    Asked about their most exposed records, five empirical defences told far more than was claimed (Aerni et al. 2024,
    arXiv:2404.17399).
    Cost: two trainings, and public records of the same kind; accuracy follows their number.

    With the temperature T the student learns p ** (1 / T), made to sum to 1: a higher one tells less of how sure the
    teacher is.

    Attributes:
        public: records of other people, whose labels are not used; None leaves it to the audit to give its own.
        temperature: of the teacher's scores (> 0).
        share: in (0, 1], of the public records, those on which the teacher's scores have the lowest entropy.
    """

    name: ClassVar[str] = "distillation"
    title: ClassVar[str] = "Distillation"
    source: ClassVar[str] = "Shejwalkar & Houmansadr 2021, AAAI, arXiv:1906.06589, section 4 (DMP)"

    public: Records | None = None
    temperature: float = 1.0
    share: float = 1.0

    def __post_init__(self) -> None:
        check(self.name, self)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the student; raises InputError without public records of the same kind, or for a regressor."""
        classes = classes_of(records, self.title)
        public = public_for(self, records)
        soft = says(recipe.fit(records, seed), public.x, classes)
        surest = np.argsort(entropy(soft), kind="stable")[: max(1, round(self.share * len(public)))]
        rows = np.sort(surest)
        other = int(np.random.default_rng([seed, 41]).integers(2**31))
        return learn(recipe, public.take(rows), flattened(soft[rows], self.temperature), other)


def flattened(scores: Array, temperature: float) -> Array:
    """Return scores (n, classes) raised to 1 / temperature, rows summing to 1."""
    logs = np.log(np.maximum(scores, 1e-300)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def entropy(scores: Array) -> Array:
    """Return the entropy (n,) in nats of scores (n, classes)."""
    return -(scores * np.log(np.maximum(scores, 1e-300))).sum(axis=1)  # type: ignore[no-any-return]
