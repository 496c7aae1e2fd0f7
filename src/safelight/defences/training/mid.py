"""MID: the head reads a noisy code that pays for all it tells of the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from safelight.defences.base import InSlots

if TYPE_CHECKING:
    from torch import Tensor, nn

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Mid(InSlots):
    """Put a noisy code before the head and charge for what it tells of the picture.

    What it does: the last linear layer is exchanged for one that first turns its features into a Gaussian code, and
    beta times the code's divergence from pure noise is added to the loss: a bound on the information between picture
    and scores. After training the code is its mean, without noise.
    Evidence for: black-box and white-box inversions of the time recovered less at some loss of accuracy (Wang et al.
    2021, arXiv:2009.05241, section 5).
    Evidence against: it opposes the training's own aim, and later defences keep more accuracy at the same leak (Peng et
    al. 2022, arXiv:2206.05483, section 5); layers below the code are not restrained, and attacks with a strong image
    prior get past it. It says nothing of membership.
    Cost: two more linear layers; accuracy falls as beta grows.

    The loss is CE + beta KL(N(m, s^2) | N(0, 1)), in nats, a mean over the batch.

    Attributes:
        beta: price of a nat (>= 0).
        size: numbers in the code (>= 1).
    """

    name: ClassVar[str] = "mid"
    title: ClassVar[str] = "Information bottleneck (MID)"
    source: ClassVar[str] = "Wang et al. 2021, AAAI, arXiv:2009.05241, section 4"
    changes: ClassVar[str] = "the last layer"

    beta: float = 0.01
    size: int = 32

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        from safelight.defences.training.layers import WithHead

        module = WithHead(recipe.module, recipe.inputs, Narrows(self.size))
        return replace(recipe, module=module, objective=Charged(recipe.objective, self.beta))


@dataclass(frozen=True)
class Narrows:
    """Exchanges a linear layer for one behind a noisy code.

    Attributes:
        size: numbers in the code.
    """

    size: int

    def __call__(self, head: nn.Linear) -> nn.Module:
        from safelight.recipes.bottleneck import Bottleneck

        return Bottleneck(self.size, head)


@dataclass(frozen=True)
class Charged:
    """An objective plus the price of what the network's noisy codes tell; see `Mid`.

    Attributes:
        objective: what is lowered besides.
        beta: price of a nat (>= 0).
    """

    stacks: ClassVar[bool] = False  # looks into the network

    objective: Any
    beta: float

    def __call__(self, step: Step) -> Tensor:
        from safelight.recipes.bottleneck import Bottleneck

        loss = self.objective(step)
        for part in cast("nn.Module", step.net).modules():
            if isinstance(part, Bottleneck):
                loss = loss + self.beta * part.told
                part.told = part.told.detach()  # a network that holds on to its gradients cannot be copied
        return cast("Tensor", loss)
