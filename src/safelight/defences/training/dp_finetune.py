"""A base from public records, and DP-SGD on its last layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.guarantee import Guarantee
from safelight.defences.training.dp_sgd import DpSgd
from safelight.defences.training.layers import weighted
from safelight.defences.training.public import public_for
from safelight.defences.training.transfer import pretrained
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class DpFineTuning(InTraining):
    """Learn to see from public records, and only the last layers from private ones, by DP-SGD.

    What it does: the recipe first trains on public records, which costs no privacy. All layers but the last ones are
    then frozen, and DP-SGD trains the last ones on the private records. There are fewer weights for the noise to
    drown.
    Evidence for: with good public features the accuracy at the same epsilon is far above that of DP-SGD from scratch
    (Tramer and Boneh 2021, arXiv:2011.11660; De et al. 2022, arXiv:2204.13650).
    Evidence against: what the public records should not have held is not protected. Public records unlike the private
    ones help little. Else as for DP-SGD.
    Cost: a training on public records, made once in a process and then kept; less than DP-SGD on the whole network
    after that.

    Unit and adjacency: one private record more or less (add-remove), as for DP-SGD; the public records have no promise.
    A search over settings on the private records is not counted. The last layers start from the public ones where both
    have as many classes, else from scratch. Frozen layers work as they do after training: BatchNorm uses what it
    learnt from public records.

    Attributes:
        epsilon: promised, in nats (> 0).
        delta: chance that the promise may fail, in (0, 1), and at most one over the number of records.
        clip: norm to which a record's gradient is cut (> 0).
        layers: with weights, the last that an image meets, that learn from private records (>= 1).
        batch: private records a step, expected (>= 1); None for the recipe's.
        epochs: passes over the private records, expected (>= 1); None for the recipe's.
        rate: learning rate on the private records (> 0); None for the recipe's.
        public: records of other people that the base learns from.
        seed: of the training on public records (>= 0).
        repeatable: noise and batches follow the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "dp-fine-tuning"
    title: ClassVar[str] = "Private fine-tuning"
    source: ClassVar[str] = "Tramer and Boneh 2021, ICLR, arXiv:2011.11660, section 5"

    epsilon: float = 8.0
    delta: float = 1e-5
    clip: float = 1.0
    layers: int = 1
    batch: int | None = None
    epochs: int | None = None
    rate: float | None = None
    public: Records | None = None
    seed: int = 0
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    @property
    def _steps(self) -> DpSgd:
        return DpSgd(self.epsilon, self.delta, self.clip, self.batch, self.epochs, self.rate, self.repeatable)

    def misfit(self, recipe: Recipe) -> str:
        why = needs_torch(self, recipe, "the gradients")
        if why:
            return why
        from safelight.defences.training.noisy_steps import private_misfit

        return private_misfit(self.title, cast("TorchRecipe", recipe), whole=False)

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what a training on n private records promises; errors as for `DpSgd.training`."""
        return self._steps.guarantee(recipe, n)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        from safelight.defences.training.noisy_steps import NoisySteps, in_full
        from safelight.targets.torch import from_torch

        own = in_full(cast("TorchRecipe", recipe), self.epochs, self.batch, self.rate)
        steps = NoisySteps.of(self._steps.training(recipe, len(records)), self.clip, self.repeatable)
        net = self.start(cast("TorchRecipe", recipe), records, seed)
        steps.train(own, net, *own.tensors(records), seed)
        return from_torch(net, own.inputs, name="retrained")

    def start(self, recipe: TorchRecipe, records: Records, seed: int) -> nn.Module:
        """Return the network for the classes of `records` with the public base, all but the last layers frozen.

        Raises:
            InputError: there are no public records, or fewer layers than are to be trained.
        """
        weights, _ = pretrained(recipe, public_for(self, records), self.seed)
        net = recipe.build(records, seed)
        shapes = {name: value.shape for name, value in net.state_dict().items()}
        fits = {name: value for name, value in weights.items() if shapes.get(name) == value.shape}
        net.load_state_dict(fits, strict=False)
        parts = [part for _, part in weighted(net, recipe.inputs)]
        if len(parts) < self.layers:
            raise InputError(
                f"layers is {self.layers}, and {type(net).__name__} has {len(parts)} with weights; use at most these."
            )
        net.requires_grad_(False).eval()
        for part in parts[-self.layers :]:
            part.requires_grad_(True).train()
        return net
