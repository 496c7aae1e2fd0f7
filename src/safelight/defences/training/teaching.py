"""What a teacher says of records, and how a student learns it, whatever their recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.targets.base import Target
from safelight.targets.sklearn import SklearnModel


def classes_of(records: Records, what: str) -> int:
    """Return the number of classes; raises InputError for real-valued answers, on which `what` does not work."""
    if records.y.dtype.kind not in "iu":
        raise InputError(
            f"{what} hands on class scores, and these records have real-valued answers; use it on a classifier."
        )
    return int(records.y.max()) + 1


def says(teacher: Target, x: Any, classes: int) -> Array:
    """Return the teacher's scores (n, classes); a class that it never met scores 0."""
    scores = np.zeros((len(x), classes))
    names = teacher.model.classes
    numbered = all(name.isdigit() and int(name) < classes for name in names)
    scores[:, [int(name) for name in names] if numbered else range(len(names))] = teacher.model.scores(x)
    return scores


def learn(recipe: Recipe, records: Records, soft: Array, seed: int) -> Target:
    """Train a student on `records` as `soft` (n, classes) labels them; rows are probabilities.

    A torch recipe learns the probabilities, any other their largest class.
    """
    classes = soft.shape[1]
    try:
        from safelight.recipes.torch import TorchRecipe
    except InputError:
        TorchRecipe = None  # type: ignore[assignment, misc]
    if TorchRecipe is not None and isinstance(recipe, TorchRecipe):
        import torch

        from safelight.targets.torch import from_torch

        net = recipe.build(records.relabelled(np.full(len(records), classes - 1)), seed)
        images, _ = recipe.tensors(records)
        for _ in recipe.passes(net, images, torch.as_tensor(soft, dtype=torch.float32), seed):
            pass
        return from_torch(net, recipe.inputs)
    target = recipe.fit(records.relabelled(soft.argmax(axis=1)), seed)
    known = len(target.model.classes)
    if known == classes:
        return target
    if isinstance(target.model, SklearnModel):  # the classes that it never met score 0
        numbers = np.array([int(name) for name in target.model.classes])
        wide = replace(target.model, classes=tuple(map(str, range(classes))), columns=numbers[target.model.columns])
        return replace(target, model=wide)
    raise InputError(
        f"The teacher named {known} of {classes} classes among these records, and {type(recipe).__name__} trains no "
        "model for the others; give records of every class."
    )
