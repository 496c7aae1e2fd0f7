"""Adversarial training: robust against small changes, and more open to inversion for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from safelight.defences.base import InSlots
from safelight.targets.base import Images

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class AdversarialTraining(InSlots):
    """Train on pictures changed against the model: a warning, since privacy gets worse.

    What it does: each step first changes its pictures by a little, within a bound, in the direction that raises the
    loss most, and trains on these. The model's gradients then follow what pictures look like.
    Evidence for: it is the standard way to a model that small changes do not fool (Madry et al. 2018,
    arXiv:1706.06083). It is here because it is often switched on as "security". For membership it is not always worse:
    measured record by record, more robustness need not mean more exposure (Li et al. 2022, arXiv:2208.08270).
    Evidence against: inversion, out of reach for the plain model, becomes feasible (Mejia et al. 2019,
    arXiv:1906.06449), and members were told apart more easily (Song, Shokri & Mittal 2019, arXiv:1905.10291).
    Cost: `steps` more passes through the network and back for each step; accuracy on unchanged pictures falls.

    Projected gradient ascent in the largest change of a pixel: from a random start within the bound, steps of 2.5 bound
    / steps along the sign of the gradient of the cross-entropy, cut to the bound and to the range of the pictures.

    Attributes:
        bound: largest change of a pixel, as a share of the range of values (>= 0).
        steps: of the ascent (>= 1).
    """

    name: ClassVar[str] = "adversarial-training"
    title: ClassVar[str] = "Adversarial training"
    source: ClassVar[str] = "Madry et al. 2018, ICLR, arXiv:1706.06083, section 2; Mejia et al. 2019, arXiv:1906.06449"
    changes: ClassVar[str] = "the pictures"

    bound: float = 0.1
    steps: int = 5

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        if self.bound == 0:
            return recipe
        return replace(recipe, objective=Worsened(recipe.objective, recipe.inputs, self.bound, self.steps))


@dataclass(frozen=True)
class Worsened:
    """An objective on pictures that were changed against the model; see `AdversarialTraining`.

    Attributes:
        objective: what is lowered on them.
        inputs: range of the pictures.
        bound, steps: as there.
    """

    stacks: ClassVar[bool] = False  # each network would start elsewhere than alone

    objective: Any
    inputs: Images
    bound: float
    steps: int

    def __call__(self, step: Step) -> Tensor:
        return cast("Tensor", self.objective(replace(step, images=self.worst(step))))

    def worst(self, step: Step) -> Tensor:
        """Return the pictures of a step, changed within the bound."""
        import torch

        from safelight.recipes.objective import cross_entropies

        reach = self.bound * (self.inputs.high - self.inputs.low)
        low = (step.images - reach).clamp(min=self.inputs.low)
        high = (step.images + reach).clamp(max=self.inputs.high)
        start = torch.rand(step.images.shape, generator=step.rng, dtype=step.images.dtype)
        images = low + (high - low) * start
        for _ in range(self.steps):
            images.requires_grad_(True)
            loss = cross_entropies(step.net(images), step.labels).sum()
            (slope,) = torch.autograd.grad(loss, images)
            images = (images.detach() + 2.5 * reach / self.steps * slope.sign()).clamp(low, high)
        return images
