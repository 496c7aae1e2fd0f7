"""What a training step lowers: a slot of the torch recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """One batch on its way through a network.

    Attributes:
        net: maps images to logits (..., n, classes); the `nn.Module` itself, but for stacked networks.
        images: (..., n, channels, height, width).
        labels: class numbers (..., n) int64, or probabilities (..., n, classes).
        epoch: of this step, from 0.
        epochs: of the whole training.
        rng: for all that is random in the step.
    """

    net: Callable[[Tensor], Tensor]
    images: Tensor
    labels: Tensor
    epoch: int
    epochs: int
    rng: torch.Generator


class Objective(Protocol):
    """Settings are dataclass fields: the `repr` tells two objectives apart.

    Attributes:
        stacks: whether it needs nothing but logits and labels, so that it also serves networks trained as one program.
    """

    stacks: ClassVar[bool]

    def __call__(self, step: Step) -> Tensor:
        """Return the loss (...): a mean over the batch, one number for each network."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """The mean cross-entropy."""

    stacks: ClassVar[bool] = True

    def __call__(self, step: Step) -> Tensor:
        return cross_entropies(step.net(step.images), step.labels).mean(-1)


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy (..., n) of logits (..., n, classes) and labels as in `Step`, in float32."""
    logp = torch.log_softmax(logits.float(), dim=-1)
    if labels.is_floating_point():
        return -(labels * logp).sum(-1)
    return -logp.gather(-1, labels[..., None])[..., 0]
