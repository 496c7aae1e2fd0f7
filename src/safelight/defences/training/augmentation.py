"""Augmentation: the network never sees quite the same picture twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from safelight.defences.base import InSlots

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Augmentation(InSlots):
    """Shift, flip and blur with noise each picture anew in every step.

    What it does: each picture of a batch is moved by up to `shift` pixels in both directions (its edge is repeated),
    mirrored in half of the steps if `flip`, and gets Gaussian noise. The network learns no exact picture.
    Evidence for: strong augmentation lowers membership attacks, about as training for a shorter time does (Kaya &
    Dumitras 2021, PMLR 139).
    Evidence against: augmentation that is chosen for accuracy does not lower the risk (same paper), and an attacker who
    asks about the augmented pictures too gets back what was lost, or more (Yu et al. 2021, arXiv:2007.10567).
    Cost: a little time a step. A flip is wrong where left and right mean something, as in digits and letters.

    Attributes:
        shift: most pixels by which a picture is moved, each way (>= 0).
        flip: mirror left and right in half of the steps.
        noise: standard deviation of the noise, as a share of the range of values (>= 0).
    """

    name: ClassVar[str] = "augmentation"
    title: ClassVar[str] = "Augmentation"
    source: ClassVar[str] = "Kaya & Dumitras 2021, ICML, PMLR 139:5345-5355"
    changes: ClassVar[str] = "the pictures"

    shift: int = 1
    flip: bool = False
    noise: float = 0.05

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        pictures = recipe.inputs
        return replace(recipe, augment=Moved(self.shift, self.flip, self.noise, pictures.low, pictures.high))


@dataclass(frozen=True)
class Moved:
    """Changes a batch of pictures; see `Augmentation`.

    Attributes:
        shift, flip, noise: as there.
        low, high: range of the values; nothing leaves it.
    """

    shift: int
    flip: bool
    noise: float
    low: float = 0.0
    high: float = 1.0

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        """Return pictures like `images` (n, channels, height, width)."""
        import torch

        count, _, height, width = images.shape
        if self.shift:
            by = torch.randint(-self.shift, self.shift + 1, (2, count, 1), generator=rng)
            rows = (torch.arange(height) + by[0]).clamp(0, height - 1)
            columns = (torch.arange(width) + by[1]).clamp(0, width - 1)
            images = images[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
            images = images.permute(0, 3, 1, 2)
        if self.flip:
            turned = torch.rand(count, generator=rng) < 0.5
            images = torch.where(turned[:, None, None, None], images.flip(-1), images)
        if self.noise:
            spread = self.noise * (self.high - self.low)
            images = (images + spread * torch.randn(images.shape, generator=rng)).clamp(self.low, self.high)
        return images
