"""No prior knowledge but that neighbouring pixels are alike: the latent is the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.targets.base import Images


@dataclass(frozen=True)
class Pixels:
    """Images as they are, in shares of their range, with total variation as penalty.

    Attributes:
        images: shape and range.
        centre: (channels * height * width,) the image to start from, flattened, 0 for low and 1 for high.
    """

    images: Images
    centre: Array

    @classmethod
    def grey(cls, images: Images) -> Pixels:
        """Start from the middle of the range: black would leave ReLU networks without a gradient."""
        return cls(images, np.full(images.size, 0.5))

    @classmethod
    def at(cls, image: Array, images: Images) -> Pixels:
        """Start from one image (channels, height, width)."""
        return cls(images, (image.reshape(-1) - images.low) / (images.high - images.low))

    @property
    def size(self) -> int:
        return self.images.size

    def start(self, n: int, rng: Generator) -> Array:
        """Return the centre with noise of a tenth of the range on it (n, size)."""
        noisy = self.centre + 0.1 * rng.standard_normal((n, self.size))
        return self.confine(noisy)  # type: ignore[no-any-return]

    def decode(self, z: Any) -> Any:
        shares = z.reshape(len(z), *self.images.shape).clip(0, 1)
        return self.images.low + (self.images.high - self.images.low) * shares

    def penalty(self, z: Any) -> Any:
        """Return the total variation of each image (n,), in shares of the range."""
        return total_variation(z.reshape(len(z), *self.images.shape))

    def confine(self, z: Any) -> Any:
        return z.clip(0, 1)


def total_variation(x: Any) -> Any:
    """Return the mean absolute step to the pixel below plus the mean step to the right (n,).

    Anisotropic total variation (Rudin, Osher and Fatemi 1992, eq. 2.2a, in its l1 form), a mean so that it does not
    depend on the size of the image. `x` is (n, channels, height, width), numpy or torch.
    """
    down = abs(x[:, :, 1:, :] - x[:, :, :-1, :]).mean((1, 2, 3)) if x.shape[2] > 1 else 0.0
    right = abs(x[:, :, :, 1:] - x[:, :, :, :-1]).mean((1, 2, 3)) if x.shape[3] > 1 else 0.0
    return down + right
