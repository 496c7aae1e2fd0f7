"""A layer that lets through only what pays for itself: a noisy code, and how much it tells of its input."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """A linear layer whose input first becomes a noisy code, as in a variational information bottleneck.

    Features h become a mean m = A h + a and a log variance v = B h + b; while training the code is m + exp(v / 2) e
    with e ~ N(0, 1), afterwards m. `told` is the mean KL(N(m, exp(v)) | N(0, 1)) in nats over the last batch.

    Attributes:
        size: numbers in the code (>= 1).
    """

    told: Tensor

    def __init__(self, size: int, head: nn.Linear):
        super().__init__()
        self.size = size
        self.mean = nn.Linear(head.in_features, size)
        self.log_variance = nn.Linear(head.in_features, size)
        self.head = nn.Linear(size, head.out_features)

    def forward(self, features: Tensor) -> Tensor:
        mean = self.mean(features)
        if not self.training:
            return self.head(mean)  # type: ignore[no-any-return]
        spread = self.log_variance(features).clamp(-20, 20)
        self.told = nats(mean, spread).mean()
        return self.head(mean + (spread / 2).exp() * torch.randn_like(mean))  # type: ignore[no-any-return]


def nats(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_variance)) | N(0, 1)) summed over the last axis."""
    return (mean**2 + log_variance.exp() - 1 - log_variance).sum(-1) / 2
