"""What compression is: a model that was trained, made smaller, and perhaps trained a little more."""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import DefendedRecipe, InTraining, needs_torch
from safelight.defences.compression import size as sizes
from safelight.defences.compression.estimators import has_weights, last_step, weights_of
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.settings import check
from safelight.targets.base import Target
from safelight.targets.sklearn import SklearnModel

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


class Compression(InTraining):
    """A defence that changes a trained network: it has `compressed(net, recipe, records, seed)`.

    It follows any recipe of a torch network, also one with another defence in its training.

    Attributes:
        name, title: of the defence, for errors.
        estimators: whether it also has `lightened(weights)`, for linear models and perceptrons of scikit-learn.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    estimators: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check(self.name, self)

    @abstractmethod
    def compressed(self, net: nn.Module, recipe: TorchRecipe | None, records: Records, seed: int) -> nn.Module:
        """Return the smaller network.

        Args:
            net: trained, with weights that may be changed in place.
            recipe: how it was trained, or None where another defence trained it: further training would undo that.
            records: that it was trained on.
            seed: of the training.
        """

    def lightened(self, weights: list[Array]) -> None:
        """Change the weights of a scikit-learn estimator in place, (outputs, inputs) each.

        Raises:
            InputError: the defence knows networks alone.
        """
        raise InputError(f"{self.title} changes torch networks, and the model is of scikit-learn; give a TorchRecipe.")

    def size(self, target: Target) -> int:
        """Return the bytes that a file of the target's weights needs; see `safelight.defences.compression.size`."""
        return sizes.size(target)

    def misfit(self, recipe: Recipe) -> str:
        inner = recipe
        while isinstance(inner, DefendedRecipe):
            inner = inner.recipe
        if self.estimators and isinstance(inner, SklearnRecipe):
            return "" if has_weights(inner.estimator) else self._weightless(inner.estimator)
        return needs_torch(self, inner, "the trained network")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        target = recipe.fit(records, seed)
        if isinstance(target.model, SklearnModel):
            return self._lighter(target, target.model)
        from safelight.recipes.torch import TorchRecipe
        from safelight.targets.torch import TorchModel, from_torch

        if not isinstance(target.model, TorchModel):
            raise InputError(
                f"{self.title} changes a torch network, and the recipe gave a {type(target.model).__name__}; put "
                "defences of outputs after it."
            )
        net = copy.deepcopy(target.model.net)
        for weights in net.parameters():
            weights.requires_grad_(True)
        plain = recipe if isinstance(recipe, TorchRecipe) else None
        net = self.compressed(net, plain, records, seed)
        return from_torch(net, target.model.inputs, target.model.classes)

    def _lighter(self, target: Target, model: SklearnModel) -> Target:
        fitted = copy.deepcopy(model.fitted)
        self.lightened(weights_of(fitted))
        return replace(target, model=replace(model, fitted=fitted))

    def _weightless(self, estimator: Any) -> str:
        kind = type(last_step(estimator)).__name__
        return (
            f"{self.title} changes the weights of linear models and perceptrons, and {kind} has none; give one of "
            "those, or a TorchRecipe."
        )


def tuned(net: nn.Module, recipe: TorchRecipe | None, records: Records, seed: int, epochs: int, title: str) -> None:
    """Train `net` in place for some more epochs, as its recipe does.

    Raises:
        InputError: another defence trained it, and plain training would undo that.
    """
    if not epochs:
        return
    if recipe is None:
        raise InputError(f"{title} would train on without the defence that the network was trained with; set tune = 0.")
    shorter = replace(recipe, epochs=epochs)
    for _ in shorter.passes(net, *shorter.tensors(records), seed):
        pass
