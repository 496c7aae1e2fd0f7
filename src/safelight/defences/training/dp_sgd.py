"""DP-SGD: clipped gradients with noise, accounted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.guarantee import Guarantee, check_delta, noise_for, of_training
from safelight.measures import trade_off
from safelight.recipes.base import Recipe
from safelight.recipes.gradient_canaries import Canaries
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import nn

    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class DpSgd(InTraining):
    """Cut each record's gradient to one length and add noise to their sum: the model satisfies (epsilon, delta)-DP.

    What it does: each step draws every record with the same chance, cuts its gradient to the norm `clip`, adds
    Gaussian noise to the sum, and divides by the expected size of a batch. What anybody can learn of one record from
    the model, or from all its steps, is bounded whatever the attack.
    Evidence for: it is a proof, not an experiment (Abadi et al. 2016, arXiv:1607.00133). In audits from inside, with
    canaries in the gradient, the measured leak comes close to the promise and does not pass it (Nasr et al. 2023,
    arXiv:2302.07956).
    Evidence against: the promise is about one record; what all records of a person or the whole group have in common
    is learnt. At a large epsilon it says little. Implementations have broken it; `safelight dp-check` audits one.
    Cost: accuracy, most on small data: the noise stays the same while the sum of gradients shrinks with the number of
    records. Time within a small factor of the plain recipe where linear, convolution, group and layer norm layers are
    trained; other kinds go through Opacus (the extra `dp`), which may take many times that.

    Unit and adjacency: one record more or less (add-remove). The number of records and the classes count as known. The
    noise is the least with which the privacy loss distribution of the Poisson-subsampled Gaussian stays at epsilon
    (Koskela et al. 2020, arXiv:1906.03049; Doroshenko et al. 2022, arXiv:2207.04380); `guarantee` gives the figures,
    RDP beside them. A search over settings on the private records is not counted. Each training draws its own noise
    and promises alone; k trainings on the same records promise together about sqrt(k) times as much.

    Noise and batches follow the training's seed so that an audit can be repeated. Whoever knows the seed can take the
    noise off: for a model that is given away set `repeatable` to false, which takes a seed of 63 bits from the
    operating system and keeps it nowhere. The generator is still not a cryptographic one, and its normal numbers are
    floats, whose last bits can tell of the sum (Mironov 2012): against an attacker who gets every step's exact
    gradients, neither is enough.

    Attributes:
        epsilon: promised, in nats (> 0).
        delta: chance that the promise may fail, in (0, 1), and at most one over the number of records.
        clip: norm to which a record's gradient is cut (> 0).
        batch: records a step, expected (>= 1); None for the recipe's.
        epochs: passes over the records, expected (>= 1); None for the recipe's.
        rate: learning rate (> 0); None for the recipe's.
        repeatable: noise and batches follow the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "dp-sgd"
    title: ClassVar[str] = "DP-SGD"
    source: ClassVar[str] = "Abadi et al. 2016, CCS, arXiv:1607.00133, section 3"

    epsilon: float = 8.0
    delta: float = 1e-5
    clip: float = 1.0
    batch: int | None = None
    epochs: int | None = None
    rate: float | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        why = needs_torch(self, recipe, "the gradients")
        if why:
            return why
        from safelight.defences.training.noisy_steps import private_misfit

        return private_misfit(self.title, cast("TorchRecipe", recipe))

    def training(self, recipe: Recipe, n: int) -> trade_off.DpSgd:
        """Return noise, sampling rate and steps for n records.

        Raises:
            InputError: delta is above 1/n, or no noise is enough.
        """
        from safelight.defences.training.noisy_steps import in_full

        check_delta(self.delta, n)
        own = in_full(cast("TorchRecipe", recipe), self.epochs, self.batch, self.rate)
        sampling, steps = drawing(n, own.batch, own.epochs)
        return trade_off.DpSgd(noise_for(self.epsilon, self.delta, sampling, steps), sampling, steps)

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what a training on n records promises; errors as for `training`."""
        how = "every step released a noisy sum of clipped gradients, batches drawn by Poisson sampling"
        return of_training(self.training(recipe, n), self.delta, how)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        from safelight.targets.torch import from_torch

        net, _ = self.train(recipe, records, seed)
        return from_torch(net, cast("TorchRecipe", recipe).inputs, name="retrained")

    def train(
        self, recipe: Recipe, records: Records, seed: int, canaries: Canaries | None = None
    ) -> tuple[nn.Module, Array | None]:
        """Train; with canaries of an audit from inside also return what was released at their weights, (steps, m).

        `safelight.controls.gradient_canaries.audit_training` flips the coins and guesses.
        """
        from safelight.defences.training.noisy_steps import NoisySteps, in_full

        own = in_full(cast("TorchRecipe", recipe), self.epochs, self.batch, self.rate)
        steps = NoisySteps.of(self.training(recipe, len(records)), self.clip, self.repeatable)
        net = own.build(records, seed).train()
        return net, steps.train(own, net, *own.tensors(records), seed, canaries)


def drawing(n: int, batch: int, epochs: int) -> tuple[float, int]:
    """Return the sampling rate and the number of steps at which n records are met `epochs` times each, expected."""
    sampling = min(1.0, batch / n)
    return sampling, max(1, round(epochs / sampling))
