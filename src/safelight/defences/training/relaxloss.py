"""RelaxLoss: training keeps the loss of members at a level that others have as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from safelight.defences.base import InSlots

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class RelaxLoss(InSlots):
    """Train no further than to a mean loss of alpha, and spread what remains over the wrong classes.

    What it does: while the mean loss of a batch is above alpha, training goes on as ever. Below it, even passes go
    back up, and odd passes keep the score of the true class and make those of all the others equal.
    Evidence for: the losses of members and others come to overlap, and attacks that read them fall to near guessing,
    with accuracy kept or better (Chen et al. 2022, arXiv:2207.05801, section 5).
    Evidence against: what holds on average does not for single records: attacked at its most exposed records it leaks
    far more than was reported, and DP-SGD with hardly any noise does better (Aerni et al. 2024, arXiv:2404.17399).
    Cost: none in time; alpha has to be found for each task, and too large a one costs accuracy.

    Passes count from 0. The flattened target is p_y for the true class and (1 - p_y) / (classes - 1) for each other; no
    gradient flows through it.

    Attributes:
        alpha: the mean cross-entropy in nats that training does not go below (>= 0); 0 is plain training.
    """

    name: ClassVar[str] = "relaxloss"
    title: ClassVar[str] = "RelaxLoss"
    source: ClassVar[str] = "Chen et al. 2022, ICLR, arXiv:2207.05801, section 4, algorithm 1"

    alpha: float = 0.5

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        return replace(recipe, objective=RelaxedCrossEntropy(self.alpha))


@dataclass(frozen=True)
class RelaxedCrossEntropy:
    """Cross-entropy that stops at a level; see `RelaxLoss`.

    Attributes:
        alpha: the level (>= 0).
    """

    stacks: ClassVar[bool] = True

    alpha: float

    def __call__(self, step: Step) -> Tensor:
        import torch

        from safelight.recipes.objective import cross_entropies

        logits = step.net(step.images)
        loss = cross_entropies(logits, step.labels).mean(-1)
        if step.epoch % 2 == 0:
            return (loss - self.alpha).abs()
        labels = step.labels.argmax(-1) if step.labels.is_floating_point() else step.labels
        flat = cross_entropies(logits, flattened(logits.detach().float().softmax(-1), labels)).mean(-1)
        return torch.where(loss > self.alpha, loss, flat)


def flattened(scores: Tensor, labels: Tensor) -> Tensor:
    """Return scores (..., n, classes) that keep the label's (..., n) and share the rest equally."""
    sure = scores.gather(-1, labels[..., None])
    others = ((1 - sure) / (scores.shape[-1] - 1)).expand_as(scores)
    return others.scatter(-1, labels[..., None], sure)
