"""Self-distillation through split models: each record is labelled by models that never saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import InTraining, refuse
from safelight.defences.training.teaching import classes_of, learn, says
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class Selena(InTraining):
    """Train on the members as models that never saw them would label them.

    What it does: K models are trained, each on the members that did not leave it out; every member leaves out L of
    them. The mean of what those L say of it is its label, and the model that is shown learns these labels. So a member
    is answered much as a stranger would be. No public records are needed.
    Evidence for: simple membership attacks come close to guessing at a small loss of accuracy (Tang et al. 2022,
    arXiv:2110.08324, section 6).
    Evidence against: what a member does to the labels of others, and duplicates of it, are not covered; on worst-case
    canaries, such as mislabelled ones, it leaks an order of magnitude more than was reported and less well than
    DP-SGD with hardly any noise (Aerni et al. 2024, arXiv:2404.17399).
    Cost: K + 1 trainings; accuracy falls where members are few.

    A torch recipe learns the mean scores, any other model their largest class.

    Attributes:
        models: K, how many are trained first (>= 2).
        left_out: L, how many of them never see a given member (>= 1); fewer than K.
    """

    name: ClassVar[str] = "selena"
    title: ClassVar[str] = "Self-distillation (SELENA)"
    source: ClassVar[str] = "Tang et al. 2022, USENIX Security, arXiv:2110.08324, section 4"

    models: int = 25
    left_out: int = 10

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        if 0 < self.left_out < self.models:
            return ""
        most = self.models - 1
        return f"Each record leaves out {self.left_out} of {self.models} models; let left_out be from 1 to {most}."

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model; raises InputError for a regressor."""
        refuse(self.misfit(recipe))
        classes = classes_of(records, self.title)
        rng = np.random.default_rng([seed, 43])
        without = left_out(len(records), self.models, self.left_out, rng)
        soft = np.zeros((len(records), classes))
        for number, own in enumerate(rng.integers(2**31, size=self.models)):
            strangers = np.flatnonzero(without[:, number])
            teacher = recipe.fit(records.take(~without[:, number]), int(own))
            soft[strangers] += says(teacher, records.take(strangers).x, classes) / self.left_out
        return learn(recipe, records, soft, seed)


def left_out(records: int, models: int, each: int, rng: np.random.Generator) -> Array:
    """Return which models (records, models) bool never see a record: `each` of them, drawn for every record."""
    places = rng.random((records, models)).argsort(axis=1)
    return places < each
