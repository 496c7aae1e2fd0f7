"""Train a torch module again: a factory and plain settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra
from safelight.recipes.base import source_of
from safelight.targets.base import Images, Target
from safelight.targets.torch import from_torch

try:
    import torch
    from torch import nn

    from safelight.recipes.objective import CrossEntropy, Objective, Step
    from safelight.recipes.stacked import stacked
except ImportError:
    raise MissingExtra("torch", "torch", "A torch recipe") from None


MOST_STACKED = 120_000
"""Weights a network up to which several are trained faster as one program than one after another (measured)."""


@dataclass(frozen=True)
class TorchRecipe:
    """Builds a module for the number of classes at hand and trains it.

    Its parts are slots: a defence exchanges one and leaves the others as they are.

    Attributes:
        module: called with the number of classes; returns a fresh module that maps images to logits.
        inputs: shape and range of the images.
        epochs: passes over the records.
        batch: records a step.
        optimiser: "adam" or "sgd" (momentum 0.9).
        rate: learning rate.
        decay: weight decay.
        objective: what each step lowers; the mean cross-entropy when left out.
        augment: called with a batch of images (n, channels, height, width) and a generator; returns the images to train
            on. None for the images as they are.
        precision: "float32", or "bfloat16" for products in half the bits; weights and steps keep all of theirs.
    """

    module: Callable[[int], nn.Module]
    inputs: Images
    epochs: int = 30
    batch: int = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    decay: float = 0.0
    objective: Objective = field(default_factory=CrossEntropy)
    augment: Callable[[torch.Tensor, torch.Generator], torch.Tensor] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def key(self) -> str:
        steps = (self.epochs, self.batch, self.optimiser, self.rate, self.decay, self.precision, self.objective)
        how = "" if self.augment is None else source_of(self.augment) + repr(self.augment)
        return "torch-" + hashlib.sha256(repr((source_of(self.module), how, *steps)).encode()).hexdigest()[:16]

    def untrained(self, records: Records, seed: int) -> Target:
        return from_torch(self.build(records, seed), self.inputs, name="untrained")

    def fit(self, records: Records, seed: int) -> Target:
        net = self.build(records, seed)
        for _ in self.passes(net, *self.tensors(records), seed):
            pass
        return from_torch(net, self.inputs, name="retrained")

    def build(self, records: Records, seed: int) -> nn.Module:
        """Return a fresh module for the classes of `records`, its starting weights drawn from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.module(int(records.y.max()) + 1)

    def passes(self, net: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int) -> Iterator[int]:
        """Train `net` and yield the number of each epoch when it is done; who stops listening stops the training.

        Weights that need no gradient stay as they are.

        Args:
            net: changed in place; in training mode while it trains.
            images: (n, channels, height, width).
            labels: class numbers (n,) int64, or probabilities (n, classes).
            seed: of the order of the records and of all else that is random in a step.
        """
        order = torch.Generator().manual_seed(seed)
        steps = self.steps([weights for weights in net.parameters() if weights.requires_grad])
        with torch.random.fork_rng(devices=[]):  # dropout draws from torch's own generator
            torch.manual_seed(seed)
            for epoch in range(self.epochs):
                net.train()
                for rows in torch.randperm(len(images), generator=order).split(self.batch):
                    if len(rows) == 1 and len(images) > 1:
                        continue  # BatchNorm cannot train on a single record.
                    batch = images[rows] if self.augment is None else self.augment(images[rows], order)
                    steps.zero_grad()
                    with self._autocast():
                        loss = self.objective(Step(net, batch, labels[rows], epoch, self.epochs, order))
                    loss.backward()
                    steps.step()
                yield epoch

    def stacks(self, records: Records) -> bool:
        """Return whether its network is small and dense.

        Convolutions gain nothing by it, and weights that do not fit into the cache together lose.
        """
        net = self.build(records, 0)
        plain = (nn.Linear, nn.Flatten, nn.Identity, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.LayerNorm)
        leaves = [part for part in net.modules() if next(part.children(), None) is None]
        weightless = all(isinstance(part, plain) or next(part.parameters(), None) is None for part in leaves)
        random = any(isinstance(part, nn.modules.dropout._DropoutNd) for part in leaves)
        small = sum(weights.numel() for weights in net.parameters()) <= MOST_STACKED
        plainly = self.objective.stacks and self.augment is None
        return plainly and small and weightless and not random and next(net.buffers(), None) is None

    def fit_many(self, records: Records, inside: Array, seeds: Sequence[int]) -> list[Target]:
        """Train one network a row of `inside` (models, n) bool as one program; each as `fit` would, up to rounding.

        All forward passes are one batched product. The losses are a mean in each network and a sum over networks, and
        the optimiser works number by number, so each network takes the steps that it would take alone.
        """
        sizes = inside.sum(axis=1)
        if len(set(sizes.tolist())) > 1:  # partners of an odd number of records differ by one
            done = {
                int(row): target
                for size in np.unique(sizes)
                for rows in [np.flatnonzero(sizes == size)]
                for row, target in zip(rows, self.fit_many(records, inside[rows], [seeds[int(row)] for row in rows]))
            }
            return [done[row] for row in range(len(inside))]
        nets = [self.build(records, seed).train() for seed in seeds]
        stack = stacked(nets)
        images, labels = self.tensors(records)
        own = torch.as_tensor(np.stack([np.flatnonzero(row) for row in inside]))
        orders = [torch.Generator().manual_seed(seed) for seed in seeds]
        steps = self.steps(stack.weights)
        for epoch in range(self.epochs):
            shuffled = torch.stack([torch.randperm(own.shape[1], generator=order) for order in orders])
            for rows in own.gather(1, shuffled).split(self.batch, dim=1):
                if rows.shape[1] == 1 and own.shape[1] > 1:
                    continue
                # Whole rows are copied several times faster than by images[rows].
                batch = images.index_select(0, rows.flatten()).unflatten(0, rows.shape)
                steps.zero_grad()
                with self._autocast():
                    losses = self.objective(Step(stack.forward, batch, labels[rows], epoch, self.epochs, orders[0]))
                losses.sum().backward()
                steps.step()
        stack.unload()
        return [from_torch(net, self.inputs, name="retrained") for net in nets]

    def tensors(self, records: Records) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (n, channels, height, width) in the recipe's precision, and class numbers (n,)."""
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(f'precision is {self.precision!r}; use "float32" or "bfloat16".')
        images = torch.as_tensor(records.x, dtype=getattr(torch, self.precision))
        return images, torch.as_tensor(records.y, dtype=torch.int64)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16")

    def steps(self, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
        """Return the optimiser of these weights; `zero_grad` and `step` are its."""
        if self.optimiser == "adam":
            return torch.optim.Adam(weights, self.rate, weight_decay=self.decay, fused=True)
        if self.optimiser == "sgd":
            return torch.optim.SGD(weights, self.rate, momentum=0.9, weight_decay=self.decay, fused=True)
        raise InputError(f'optimiser is {self.optimiser!r}; use "adam" or "sgd".')
