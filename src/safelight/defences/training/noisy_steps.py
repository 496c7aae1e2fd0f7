"""Train by steps of which each gives away one noisy sum of clipped gradients, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array

from safelight.defences.guarantee import noise_seed
from safelight.defences.training.ghost import Losses, clipping, factors, trainable
from safelight.errors import InputError, MissingExtra
from safelight.measures.trade_off import DpSgd
from safelight.recipes.gradient_canaries import Canaries
from safelight.recipes.torch import TorchRecipe

try:
    import torch
    from torch import Tensor, nn

    from safelight.recipes.objective import Step
except ImportError:
    raise MissingExtra("torch", "torch", "Training with noise") from None

AT_ONCE = 1024
"""Records whose gradients are cut at once; larger batches are summed in parts."""

PROBES = 3
"""Images of noise on which the clipping is checked before any record is looked at."""


@dataclass(frozen=True)
class NoisySteps:
    """Poisson-sampled steps with noise.

    Attributes:
        sampling: chance that a record is in a batch.
        steps: number of batches.
        sigma: standard deviation of the noise, in clipping norms.
        clip: norm to which each record's gradient is cut.
        repeatable: whether batches and noise follow the seed; else both come from the operating system's randomness.
    """

    sampling: float
    steps: int
    sigma: float
    clip: float
    repeatable: bool = True

    @classmethod
    def of(cls, training: DpSgd, clip: float, repeatable: bool = True) -> NoisySteps:
        return cls(training.sampling, training.steps, training.sigma, clip, repeatable)

    def train(
        self, recipe: TorchRecipe, net: nn.Module, images: Tensor, labels: Tensor, seed: int,
        canaries: Canaries | None = None,
    ) -> Array | None:  # fmt: skip
        """Train those weights of `net` that want a gradient, in place.

        A record's gradient is cut to `clip`; the sum over the batch gets noise of standard deviation sigma * clip in
        each weight, and is divided by sampling * n whatever the batch's own size: that size is a secret. An empty
        batch gives a step of noise alone.

        Args:
            recipe: its objective, augmentation, optimiser, rate and decay are used.
            net: in training mode where it trains.
            images: (n, channels, height, width) float32.
            labels: class numbers (n,), or probabilities (n, classes).
            seed: of batches, noise and all else that is random.
            canaries: records behind the real ones whose gradients are known; sampled, cut and drowned as they are.

        Returns:
            what was released at the canaries' weights, (steps, m), in clipping norms; None without canaries.

        Raises:
            InputError: the network cannot be clipped record by record, a canary's weight or step is beyond the last
                one, or the weights are no longer finite.
        """
        self._check(net, canaries)
        start = noise_seed(seed, self.repeatable)
        order, noise, other = (torch.Generator().manual_seed(number) for number in _seeds(start))
        weights = trainable(net)
        steps = recipe.steps([*weights])
        expected = self.sampling * len(images)
        planted = 0 if canaries is None else len(canaries.where)
        released: list[Array] = []
        with torch.random.fork_rng(devices=[]), clipping(net, _probe(recipe, other)) as clipped:
            torch.manual_seed(start)
            for step in range(self.steps):
                drawn = torch.rand(len(images) + planted, generator=order, dtype=torch.float64) < self.sampling
                gradient = torch.empty(sum(one.numel() for one in weights)).normal_(generator=noise)
                gradient *= self.sigma * self.clip
                for rows in drawn[: len(images)].nonzero()[:, 0].split(AT_ONCE):
                    if not len(rows):
                        continue  # an empty batch
                    batch = images[rows] if recipe.augment is None else recipe.augment(images[rows], other)
                    losses = self._losses(recipe, batch, labels[rows], step, other)
                    gradient += torch.cat([part.flatten() for part in clipped(batch, losses, self.clip)])
                if canaries is not None:
                    there = drawn[len(images) :].numpy() & canaries.inside[step]
                    cut = factors(torch.full((int(there.sum()),), canaries.norm), self.clip) * canaries.norm
                    gradient[torch.as_tensor(canaries.where[there])] += cut
                    released.append(gradient.numpy()[canaries.where] / self.clip)
                gradient /= expected
                for one, part in zip(weights, gradient.split([one.numel() for one in weights])):
                    one.grad = part.view_as(one)
                steps.step()
        for one in weights:
            one.grad = None
        if not all(bool(torch.isfinite(one).all()) for one in weights):
            raise InputError(
                f"the training diverged at a learning rate of {recipe.rate:g}; take a smaller rate or a smaller clip."
            )
        return None if canaries is None else np.stack(released)

    def _losses(self, recipe: TorchRecipe, images: Tensor, labels: Tensor, step: int, rng: torch.Generator) -> Losses:
        """Return the recipe's objective as one loss a record: each is a batch of its own."""
        epoch = step * recipe.epochs // self.steps

        def losses(logits: Tensor) -> Tensor:
            own = Step(lambda _: logits[:, None], images[:, None], labels[:, None], epoch, recipe.epochs, rng)
            return recipe.objective(own)

        return losses

    def _check(self, net: nn.Module, canaries: Canaries | None) -> None:
        if canaries is None:
            return
        size = sum(one.numel() for one in trainable(net))
        if canaries.where.max() >= size:
            raise InputError(
                f"a canary pushes weight {canaries.where.max()} and {size} weights are trained; positions count from 0."
            )
        if canaries.steps != self.steps:
            raise InputError(
                f"the coins are flipped for {canaries.steps} steps and the training takes {self.steps}; give one row "
                "of coins a step."
            )


def _seeds(seed: int) -> list[int]:
    """Return three seeds that have nothing to do with each other or with the starting weights."""
    return [int(word) for word in np.random.SeedSequence([seed, 0xD95]).generate_state(3, np.uint64) >> np.uint64(1)]


def _probe(recipe: TorchRecipe, rng: torch.Generator) -> Tensor:
    span = recipe.inputs.high - recipe.inputs.low
    return recipe.inputs.low + span * torch.rand((PROBES, *recipe.inputs.shape), generator=rng)


def private_misfit(title: str, recipe: TorchRecipe, whole: bool = True) -> str:
    """Return why a torch recipe cannot be trained with clipped gradients of single records, or an empty string.

    Args:
        title: of the defence.
        recipe: to be changed.
        whole: whether all layers are trained so; else layers with BatchNorm may be there.
    """
    if not recipe.objective.stacks:
        return (
            f"{title} needs the loss of each record alone, and {type(recipe.objective).__name__} looks at more than "
            "logits and labels; leave the objective out."
        )
    with torch.random.fork_rng(devices=[]):
        net = recipe.module(2)
    if whole and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.modules()):
        return (
            f"{title} cannot train BatchNorm, whose mean over the batch lets one record change the gradients of all "
            "others; use torch.nn.GroupNorm in its place."
        )
    if recipe.augment is not None and _mixes(recipe):
        return (
            f"{title} cannot use an augmentation that mixes the images of a batch, since one record would then stand "
            "in many gradients; leave it out."
        )
    return ""


def _mixes(recipe: TorchRecipe) -> bool:
    """Tell whether an augmentation lets one image of a batch change another one, or changes their number."""
    assert recipe.augment is not None
    first = _probe(recipe, torch.Generator().manual_seed(0))
    second = first.clone()
    second[-1] = _probe(recipe, torch.Generator().manual_seed(1))[-1]
    made = [recipe.augment(images.clone(), torch.Generator().manual_seed(0)) for images in (first, second)]
    return any(part.shape[0] != len(first) for part in made) or not torch.equal(made[0][:-1], made[1][:-1])


def in_full(recipe: TorchRecipe, epochs: int | None, batch: int | None, rate: float | None) -> TorchRecipe:
    """Return the recipe with these settings where they are given, in float32: norms must be exact."""
    return replace(
        recipe,
        precision="float32",
        epochs=recipe.epochs if epochs is None else epochs,
        batch=recipe.batch if batch is None else batch,
        rate=recipe.rate if rate is None else rate,
    )
