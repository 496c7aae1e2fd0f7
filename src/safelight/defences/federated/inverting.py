"""Inverting gradients: pictures whose gradient points where the observed one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import MissingExtra
from safelight.targets.base import Images

try:
    import torch
    from torch import Tensor, nn
    from torch.nn.functional import cross_entropy
except ImportError:
    raise MissingExtra("torch", "torch", "Inverting gradients") from None


@dataclass(frozen=True)
class InvertGradients:
    """Search pictures by signed Adam on 1 - cosine(their gradient, the observed one) + variation * total variation.

    Geiping et al. 2020, arXiv:2003.14053, section 4. The rate falls to a tenth at 3/8, 5/8 and 7/8 of the steps, and
    pictures stay in their range.

    Attributes:
        steps: of Adam (>= 1).
        rate: of Adam (> 0), in units of the pictures' range.
        variation: weight of the mean absolute difference of neighbouring pixels (>= 0); small pictures want less.
        restarts: searches from different noise (>= 1); the one with the closest gradient is kept.
    """

    steps: int = 400
    rate: float = 0.1
    variation: float = 1e-3
    restarts: int = 1

    def __call__(
        self, net: nn.Module, gradient: Sequence[Array], labels: Array, images: Images, rng: Generator
    ) -> Array:
        """Return pictures (n, channels, height, width), one a label.

        Args:
            net: the module with the weights that the gradient is about.
            gradient: one array a parameter, in their order; its length does not count, its sign does.
            labels: classes (n,) of the records in the batch.
            images: shape and range.
            rng: of the noise that the search begins with.
        """
        goal = [torch.as_tensor(np.ascontiguousarray(part), dtype=torch.float32) for part in gradient]
        found = [self._search(net, goal, torch.as_tensor(labels), images, rng) for _ in range(self.restarts)]
        return min(found, key=lambda each: each[0])[1]

    def _search(
        self, net: nn.Module, goal: list[Tensor], labels: Tensor, images: Images, rng: Generator
    ) -> tuple[float, Array]:
        weights = [part.requires_grad_(True) for part in net.parameters()]
        noise = rng.normal(size=(len(labels), *images.shape)) / 2 + 0.5
        x = torch.as_tensor(images.low + noise * (images.high - images.low), dtype=torch.float32).requires_grad_(True)
        adam = torch.optim.Adam([x], self.rate * (images.high - images.low))
        falls = torch.optim.lr_scheduler.MultiStepLR(adam, [self.steps * part // 8 for part in (3, 5, 7)], gamma=0.1)
        length = norm(goal)
        apart = torch.zeros(())
        for _ in range(self.steps):
            own = torch.autograd.grad(cross_entropy(net(x), labels), weights, create_graph=True)
            dot = torch.stack([(one * other).sum() for one, other in zip(own, goal)]).sum()
            apart = 1 - dot / (length * norm(own) + 1e-12)
            x.grad = torch.autograd.grad(apart + self.variation * total_variation(x), x)[0].sign()
            adam.step()
            falls.step()
            with torch.no_grad():
                x.clamp_(images.low, images.high)
        return float(apart.detach()), x.detach().numpy()


def norm(parts: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean length of a gradient in parts."""
    return torch.stack([(part**2).sum() for part in parts]).sum().sqrt()


def total_variation(x: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbouring pixels of pictures (n, channels, height, width)."""
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()
