"""Train a torch module again: a factory and plain settings."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra
from safelight.targets.base import Images, Target
from safelight.targets.torch import from_torch

try:
    import torch
    from torch import nn
except ImportError:
    raise MissingExtra("torch", "torch", "A torch recipe") from None


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
    """

    module: Callable[[int], nn.Module]
    inputs: Images
    epochs: int = 30
    batch: int = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    rate: float = 1e-3
    decay: float = 0.0
    smoothing: float = 0.0

    @property
    def key(self) -> str:
        try:
            code = inspect.getsource(self.module)
        except (OSError, TypeError):
            code = repr(self.module)
        facts = (code, self.epochs, self.batch, self.optimiser, self.rate, self.decay, self.smoothing)
        return "torch-" + hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def untrained(self, records: Records, seed: int) -> Target:
        return from_torch(self._build(records, seed), self.inputs, name="untrained")

    def fit(self, records: Records, seed: int) -> Target:
        net = self._build(records, seed).train()
        images = torch.as_tensor(records.x, dtype=torch.float32)
        labels = torch.as_tensor(records.y, dtype=torch.int64)
        order = torch.Generator().manual_seed(seed)
        steps = self._steps(net)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(images), generator=order).split(self.batch):
                if len(rows) == 1 and len(images) > 1:
                    continue  # BatchNorm cannot train on a single record.
                steps.zero_grad()
                self._loss(net(images[rows]), labels[rows]).backward()
                steps.step()
        return from_torch(net, self.inputs, name="retrained")

    def _build(self, records: Records, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.module(int(records.y.max()) + 1)

    def _steps(self, net: nn.Module) -> torch.optim.Optimizer:
        if self.optimiser == "adam":
            return torch.optim.Adam(net.parameters(), self.rate, weight_decay=self.decay)
        if self.optimiser == "sgd":
            return torch.optim.SGD(net.parameters(), self.rate, momentum=0.9, weight_decay=self.decay)
        raise InputError(f'optimiser is {self.optimiser!r}; use "adam" or "sgd".')

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy; smoothing s gives (1 - s) * loss + s * mean over classes (Wei et al. 2022, eq. 1)."""
        logp = torch.log_softmax(logits, dim=1)
        loss = -logp.gather(1, labels[:, None]).mean()
        return loss if self.smoothing == 0 else (1 - self.smoothing) * loss - self.smoothing * logp.mean()
