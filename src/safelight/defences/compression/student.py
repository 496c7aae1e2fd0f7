"""Student: a smaller network learns what the trained one answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Student(InTraining):
    """Train a small dense network on the answers of the trained one, and publish the small one.

    What it does: the teacher is trained as ever; a network with one hidden layer learns its softened answers to the
    same records, with the recipe's own epochs, batch and rate. Only the student is served.
    Evidence for: a student has fewer weights to learn records by heart with; distilled on other people's records it
    lowered membership attacks (Shejwalkar and Houmansadr 2021, arXiv:1906.06589). On digits with one label in five
    drawn anew (benchmarks/bench_compression.py) a student of 32 took .08 off the AUC of LiRA, .72 before, and .015 off
    the accuracy.
    Evidence against: answers to the members themselves carry what the teacher learnt by heart: distillation on the
    training set, as here, hands it on (Jagielski et al. 2023, arXiv:2303.03446). On the same digits a network as small
    that never had a teacher took .07 off the AUC, and was more accurate than either: most of the gain is the size.
    Cost: the accuracy of a plain dense network; the training twice.

    With z the logits and T the temperature the loss is T^2 times the cross-entropy of softmax(z / T) towards the
    teacher's softmax(z / T).

    Attributes:
        hidden: width of the student's hidden layer (>= 1).
        temperature: T (> 0).
    """

    name: ClassVar[str] = "student"
    title: ClassVar[str] = "Smaller student"
    source: ClassVar[str] = "Hinton et al. 2015, arXiv:1503.02531, section 2"

    hidden: int = 32
    temperature: float = 2.0

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the network")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        import torch

        from safelight.targets.torch import TorchModel

        recipe = cast("TorchRecipe", recipe)
        teacher = cast("TorchModel", recipe.fit(records, seed).model)
        small = replace(
            recipe,
            module=partial(student, recipe.inputs.size, self.hidden),
            objective=Softened(self.temperature),
        )
        logits = torch.as_tensor(teacher.logits(records.x), dtype=torch.float32)
        net = small.build(records, seed)
        images, _ = small.tensors(records)
        for _ in small.passes(net, images, (logits / self.temperature).softmax(dim=-1), seed):
            pass
        from safelight.targets.torch import from_torch

        return from_torch(net, recipe.inputs)


def student(size: int, hidden: int, classes: int) -> nn.Module:
    """Return a network with one hidden layer on `size` numbers."""
    from torch import nn

    return nn.Sequential(nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, classes))


@dataclass(frozen=True)
class Softened:
    """Cross-entropy at a temperature, towards probabilities at the same temperature; see `Student`.

    Attributes:
        temperature: T > 0.
    """

    stacks: ClassVar[bool] = True

    temperature: float

    def __call__(self, step: Step) -> Tensor:
        from safelight.recipes.objective import cross_entropies

        logits = step.net(step.images).float() / self.temperature
        return self.temperature**2 * cross_entropies(logits, step.labels).mean(-1)
