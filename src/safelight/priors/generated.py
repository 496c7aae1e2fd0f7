"""What networks that generate images have in common: standard normal latents, and a decoder of a few convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.priors.base import ball
from safelight.priors.pca import Pca
from safelight.targets.base import Images

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Generated:
    """Images that a network makes of latents z, standard normal.

    Attributes:
        images: shape and range.
        net: maps latents (n, size) to images (n, channels, height, width) in [0, 1]; weights frozen.
        size: numbers a latent.
        reach: length of the longest plausible latent; 1 is that of a typical one.
    """

    images: Images
    net: nn.Module
    size: int
    reach: float = 1.0

    @property
    def centre(self) -> Array:
        return np.zeros(self.size)

    def start(self, n: int, rng: Generator) -> Array:
        return rng.standard_normal((n, self.size))

    def decode(self, z: Any) -> Any:
        """Return images (n, channels, height, width); a tensor for a tensor, with its gradient, else float64."""
        import torch

        if isinstance(z, torch.Tensor):
            shares = self.net(z.float()).to(z.dtype)
        else:
            with torch.no_grad():
                parts = [self.net(part) for part in torch.as_tensor(z, dtype=torch.float32).split(256)]
            shares = torch.cat(parts).double().numpy()
        return self.images.low + (self.images.high - self.images.low) * shares

    def penalty(self, z: Any) -> Any:
        """Return minus the log of the latent's density, per number of the latent and up to a constant (n,)."""
        return (z**2).mean(1) / 2

    def confine(self, z: Any) -> Any:
        return ball(z, self.reach)


def shares_of(x: Array, images: Images, mirrored: bool, most: int = 2000) -> Array:
    """Return public images (n, channels, height, width) in shares of their range, as float32, for training.

    Args:
        mirrored: add each image's mirror image.
        most: of more images than this, evenly spaced ones are taken.
    """
    x = x[np.linspace(0, len(x) - 1, most).astype(int)] if len(x) > most else x
    x = np.concatenate([x, x[..., ::-1]]) if mirrored else x
    return np.clip((x - images.low) / (images.high - images.low), 0, 1).astype(np.float32)


def decoder(images: Images, size: int, pca: Pca, width: int) -> nn.Module:
    """Return a network from latents (n, size) to shares of the range: eigenfaces, and convolutions that mend them.

    The sum goes through a sigmoid. One dense layer gives a coarse picture of at least 4 x 4 places, and each further
    layer doubles it (Radford et al. 2016, section 3, by sub-pixel convolutions). It starts as the eigenfaces alone, so
    that training need not find them first. Its weights follow `torch.manual_seed`.

    Args:
        pca: eigenfaces of the images in shares of their range; its size is at most `size`.
        width: channels before the last doubling.
    """
    import torch
    from torch import nn

    channels, height, across = images.shape
    doublings = max(0, min(3, int(np.log2(max(4, min(height, across)) / 4))))
    coarse = [-(-side // 2**doublings) for side in (height, across)]
    widths = [width * 2**left for left in range(max(0, doublings - 1), -1, -1)]

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(size, widths[0] * coarse[0] * coarse[1])
            layers: list[nn.Module] = [nn.SiLU()]
            for before, after in pairwise(widths):
                layers += [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2), nn.SiLU()]
            last = nn.Conv2d(widths[-1], channels * (4 if doublings else 1), 3, padding=1)
            for weight in last.parameters():
                nn.init.zeros_(weight)
            self.mend = nn.Sequential(*layers, last, nn.PixelShuffle(2 if doublings else 1))
            mean = torch.as_tensor(pca.mean, dtype=torch.float32).clamp(0.02, 0.98)
            steep = mean * (1 - mean)  # slope of the sigmoid at the mean
            self.mean = nn.Parameter(mean.logit())
            self.direct = nn.Parameter(torch.zeros(size, images.size))
            with torch.no_grad():
                self.direct[: pca.size] = torch.as_tensor(pca.scale[:, None] * pca.components) / steep

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            fine = self.mend(self.dense(z).reshape(len(z), widths[0], *coarse))[..., :height, :across]
            return (fine + (self.mean + z @ self.direct).reshape(len(z), *images.shape)).sigmoid()

    return Decoder()
