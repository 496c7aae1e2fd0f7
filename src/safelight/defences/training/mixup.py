"""Mixup: the network sees blends of two pictures, and their labels in the same blend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from safelight.defences.base import InSlots

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Mixup(InSlots):
    """Train on blends of two records instead of on records.

    What it does: in each step the batch is blended with itself in another order, l x + (1 - l) x', and the loss is
    blended alike. No single record is shown as it is.
    Evidence for: blending lowers overfitting and what a network remembers of corrupted labels (Zhang et al. 2018,
    arXiv:1710.09412, section 3); strong blending lowers membership attacks (Kaya & Dumitras 2021, PMLR 139).
    Evidence against: like other augmentation it protects only when it is so strong that accuracy pays (Kaya & Dumitras
    2021). An attacker who blends its questions as the training did is not answered by it.
    Cost: none in time; scores become less sure.

    l is drawn from Beta(alpha, alpha) once a batch (Zhang et al. 2018, section 2).

    Attributes:
        alpha: how even the blends are (>= 0); 0 leaves the records as they are, 1 makes every blend as likely.
    """

    name: ClassVar[str] = "mixup"
    title: ClassVar[str] = "Mixup"
    source: ClassVar[str] = "Zhang et al. 2018, ICLR, arXiv:1710.09412, section 2"

    alpha: float = 1.0

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        return recipe if self.alpha == 0 else replace(recipe, objective=MixedCrossEntropy(self.alpha))


@dataclass(frozen=True)
class MixedCrossEntropy:
    """Cross-entropy on blends; see `Mixup`.

    Attributes:
        alpha: of the Beta distribution (> 0).
    """

    stacks: ClassVar[bool] = False  # blends the images themselves

    alpha: float

    def __call__(self, step: Step) -> Tensor:
        import torch

        from safelight.recipes.objective import cross_entropies

        drawn = int(torch.randint(2**31, (), generator=step.rng))
        share = float(np.random.default_rng(drawn).beta(self.alpha, self.alpha))
        other = torch.randperm(step.images.shape[-4], generator=step.rng)
        images = share * step.images + (1 - share) * step.images[..., other, :, :, :]
        logits = step.net(images)
        own, theirs = (cross_entropies(logits, labels) for labels in (step.labels, step.labels[other]))
        return (share * own + (1 - share) * theirs).mean(-1)
