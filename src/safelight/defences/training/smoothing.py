"""Label smoothing, and its negative, which works against inversion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from safelight.defences.base import InSlots

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class LabelSmoothing(InSlots):
    """Train towards labels that are less, or more, than certain.

    What it does: with a negative alpha the loss pushes the wrong classes further down, so that the gradient towards a
    class no longer leads to its typical record. With a positive alpha it is the well-known regulariser.
    Evidence for: negative smoothing lowered the success of a strong white-box inversion at equal accuracy (Struppek et
    al. 2024, arXiv:2310.06549, section 4).
    Evidence against: positive smoothing raises inversion (same paper), and is often on by default. A negative alpha
    does nothing for membership as such.
    Cost: none in time; a strong negative alpha makes scores extreme and training unstable.

    The loss is (1 - a) * cross-entropy + a * mean over classes of -log p. A negative alpha begins at half of the
    training, grows for a quarter and then stays, as in the paper; a positive one is there from the first step.

    Attributes:
        alpha: in (-1, 1); below 0 it defends against inversion.
    """

    name: ClassVar[str] = "label-smoothing"
    title: ClassVar[str] = "Label smoothing"
    source: ClassVar[str] = "Struppek et al. 2024, ICLR, arXiv:2310.06549, section 3"

    alpha: float = -0.05

    def slots(self, recipe: TorchRecipe) -> TorchRecipe:
        return replace(recipe, objective=SmoothedCrossEntropy(self.alpha))


@dataclass(frozen=True)
class SmoothedCrossEntropy:
    """Cross-entropy towards smoothed labels; see `LabelSmoothing`.

    Attributes:
        alpha: in (-1, 1).
    """

    stacks: ClassVar[bool] = True

    alpha: float

    def __call__(self, step: Step) -> Tensor:
        from safelight.recipes.objective import cross_entropies

        logits = step.net(step.images)
        alpha = self.alpha if self.alpha >= 0 else self.alpha * ramp(step.epoch / step.epochs)
        loss = cross_entropies(logits, step.labels).mean(-1)
        return (1 - alpha) * loss - alpha * logits.float().log_softmax(dim=-1).mean((-1, -2))


def ramp(done: float, start: float = 0.5, full: float = 0.75) -> float:
    """Return 0 before `start` of the training is done, 1 after `full`, and a straight line between."""
    return min(1.0, max(0.0, (done - start) / (full - start)))
