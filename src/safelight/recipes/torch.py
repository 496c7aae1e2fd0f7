"""Train a torch module again: a factory and plain settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    from safelight.recipes.stacked import stacked
except ImportError:
    raise MissingExtra("torch", "torch", "A torch recipe") from None


MOST_STACKED = 120_000
"""Weights a network up to which several are trained faster as one program than one after another (measured)."""


@dataclass(frozen=True)
class TorchRecipe:
    """Builds a module for the number of classes at hand and trains it with cross-entropy.

    Attributes:
        module: called with the number of classes; returns a fresh module that maps images to logits.
        inputs: shape and range of the images.
        epochs: passes over the records.
        batch: records a step.
        optimiser: "adam" or "sgd" (momentum 0.9).
        rate: learning rate.
        decay: weight decay.
        smoothing: label smoothing, negative values allowed (in (-1, 1)).
        precision: "float32", or "bfloat16" for products in half the bits; weights and steps keep all of theirs.
    """

    module: Callable[[int], nn.Module]
    inputs: Images
    epochs: int = 30
    batch: int = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    decay: float = 0.0
    smoothing: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def key(self) -> str:
        steps = (self.epochs, self.batch, self.optimiser, self.rate, self.decay, self.smoothing, self.precision)
        return "torch-" + hashlib.sha256(repr((source_of(self.module), *steps)).encode()).hexdigest()[:16]

    def untrained(self, records: Records, seed: int) -> Target:
        return from_torch(self._build(records, seed), self.inputs, name="untrained")

    def fit(self, records: Records, seed: int) -> Target:
        net = self._build(records, seed).train()
        images, labels = self._tensors(records)
        order = torch.Generator().manual_seed(seed)
        steps = self._steps(list(net.parameters()))
        for _ in range(self.epochs):
            for rows in torch.randperm(len(images), generator=order).split(self.batch):
                if len(rows) == 1 and len(images) > 1:
                    continue  # BatchNorm cannot train on a single record.
                with self._autocast():
                    logits = net(images[rows])
                steps.zero_grad()
                self._loss(logits, labels[rows]).backward()
                steps.step()
        return from_torch(net, self.inputs, name="retrained")

    def stacks(self, records: Records) -> bool:
        """Return whether its network is small and dense.

        Convolutions gain nothing by it, and weights that do not fit into the cache together lose.
        """
        net = self._build(records, 0)
        plain = (nn.Linear, nn.Flatten, nn.Identity, nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.LayerNorm)
        leaves = [part for part in net.modules() if next(part.children(), None) is None]
        weightless = all(isinstance(part, plain) or next(part.parameters(), None) is None for part in leaves)
        random = any(isinstance(part, nn.modules.dropout._DropoutNd) for part in leaves)
        small = sum(weights.numel() for weights in net.parameters()) <= MOST_STACKED
        return small and weightless and not random and next(net.buffers(), None) is None

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
        nets = [self._build(records, seed).train() for seed in seeds]
        stack = stacked(nets)
        images, labels = self._tensors(records)
        own = torch.as_tensor(np.stack([np.flatnonzero(row) for row in inside]))
        orders = [torch.Generator().manual_seed(seed) for seed in seeds]
        steps = self._steps(stack.weights)
        for _ in range(self.epochs):
            shuffled = torch.stack([torch.randperm(own.shape[1], generator=order) for order in orders])
            for rows in own.gather(1, shuffled).split(self.batch, dim=1):
                if rows.shape[1] == 1 and own.shape[1] > 1:
                    continue
                # Whole rows are copied several times faster than by images[rows].
                batch = images.index_select(0, rows.flatten()).unflatten(0, rows.shape)
                with self._autocast():
                    logits = stack.forward(batch)
                steps.zero_grad()
                self._loss(logits, labels[rows]).sum().backward()
                steps.step()
        stack.unload()
        return [from_torch(net, self.inputs, name="retrained") for net in nets]

    def _build(self, records: Records, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.module(int(records.y.max()) + 1)

    def _tensors(self, records: Records) -> tuple[torch.Tensor, torch.Tensor]:
        if self.precision not in ("float32", "bfloat16"):
            raise InputError(f'precision is {self.precision!r}; use "float32" or "bfloat16".')
        images = torch.as_tensor(records.x, dtype=getattr(torch, self.precision))
        return images, torch.as_tensor(records.y, dtype=torch.int64)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bfloat16")

    def _steps(self, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
        if self.optimiser == "adam":
            return torch.optim.Adam(weights, self.rate, weight_decay=self.decay, fused=True)
        if self.optimiser == "sgd":
            return torch.optim.SGD(weights, self.rate, momentum=0.9, weight_decay=self.decay, fused=True)
        raise InputError(f'optimiser is {self.optimiser!r}; use "adam" or "sgd".')

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy (...) of logits (..., n, classes) and labels (..., n).

        Smoothing s gives (1 - s) * loss + s * mean over classes (Wei et al. 2022, eq. 1).
        """
        logp = torch.log_softmax(logits.float(), dim=-1)
        loss = -logp.gather(-1, labels[..., None])[..., 0].mean(-1)
        return loss if self.smoothing == 0 else (1 - self.smoothing) * loss - self.smoothing * logp.mean((-1, -2))
