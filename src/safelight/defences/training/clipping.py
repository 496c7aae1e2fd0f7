"""Clipping alone: DP-SGD with almost no noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.guarantee import Guarantee, check_delta, of_training
from safelight.defences.training.dp_sgd import drawing
from safelight.measures import trade_off
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class ClipOnly(InTraining):
    """Cut each record's gradient to one length and add next to no noise: a heuristic with no useful guarantee.

    What it does: a record that the model fits badly, such as a mislabelled or rare one, cannot pull harder than any
    other. All else is DP-SGD, with so little noise that accuracy stays.
    Evidence for: tuned for utility, it protected the most vulnerable records better than five defences that were made
    against membership inference (Aerni et al. 2024, arXiv:2404.17399).
    Evidence against: the epsilon that its noise formally gives is so large that it promises nothing; `formal`
    states it. A stronger attack may undo it, and only attacks that were tried speak for it.
    Cost: the time of DP-SGD. It may need a larger learning rate, since gradients are shorter.

    Unit and adjacency of the formal epsilon: one record more or less (add-remove). A search over settings on the
    private records is not counted.

    Attributes:
        noise: standard deviation of the noise, in clipping norms (> 0).
        clip: norm to which a record's gradient is cut (> 0).
        delta: at which the formal epsilon is stated, in (0, 1).
        batch: records a step, expected (>= 1); None for the recipe's.
        epochs: passes over the records, expected (>= 1); None for the recipe's.
        rate: learning rate (> 0); None for the recipe's.
    """

    name: ClassVar[str] = "clip-only"
    title: ClassVar[str] = "Clipping alone"
    source: ClassVar[str] = "Aerni et al. 2024, CCS, arXiv:2404.17399, its DP-SGD tuned for utility"

    noise: float = 0.01
    clip: float = 1.0
    delta: float = 1e-5
    batch: int | None = None
    epochs: int | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        why = needs_torch(self, recipe, "the gradients")
        if why:
            return why
        from safelight.defences.training.noisy_steps import private_misfit
        from safelight.recipes.torch import TorchRecipe

        return private_misfit(self.title, cast(TorchRecipe, recipe))

    def formal(self, recipe: Recipe, n: int) -> Guarantee:
        """Return the formal figures of a training on n records: an epsilon too large to be called a guarantee.

        Raises:
            InputError: delta is above 1/n.
        """
        from safelight.defences.training.noisy_steps import in_full
        from safelight.recipes.torch import TorchRecipe

        check_delta(self.delta, n)
        own = in_full(cast(TorchRecipe, recipe), self.epochs, self.batch, self.rate)
        training = trade_off.DpSgd(self.noise, *drawing(n, own.batch, own.epochs))
        return of_training(training, self.delta, "gradients were clipped, and the noise is too small to hide a record")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        from safelight.defences.training.noisy_steps import NoisySteps, in_full
        from safelight.recipes.torch import TorchRecipe
        from safelight.targets.torch import from_torch

        own = in_full(cast(TorchRecipe, recipe), self.epochs, self.batch, self.rate)
        net = own.build(records, seed).train()
        sampling, steps = drawing(len(records), own.batch, own.epochs)
        NoisySteps(sampling, steps, self.noise, self.clip).train(own, net, *own.tensors(records), seed)
        return from_torch(net, own.inputs, name="retrained")
