"""Eigenfaces: public images say how images vary (Turk and Pentland 1991)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.priors.base import ball, matching
from safelight.targets.base import Images


@dataclass(frozen=True)
class Pca:
    """A Gaussian over images: x = mean + (z * scale) @ components, z standard normal.

    Attributes:
        images: shape and range.
        mean: (pixels,) mean public image, flattened.
        components: (size, pixels) orthonormal directions, the strongest first.
        scale: (size,) standard deviation of the public images along each direction.
        reach: length of the longest plausible latent; 1 is that of a typical public image.
    """

    images: Images
    mean: Array
    components: Array
    scale: Array
    reach: float = 1.0

    @classmethod
    def fit(cls, x: Array, images: Images, components: int, mirrored: bool = False, most: int = 2000) -> Pca:
        """Fit to public images x (n, channels, height, width) by singular value decomposition.

        Args:
            components: how many directions at most; fewer when the images span fewer.
            mirrored: add each image's mirror image; right for faces, wrong for writing.
            most: of more images than this, evenly spaced ones are taken, to bound time and memory.
        """
        x = np.ascontiguousarray(x[np.linspace(0, len(x) - 1, most).astype(int)] if len(x) > most else x)
        mean, scale, directions = _eigenfaces(x.tobytes(), x.dtype.str, x.shape, mirrored)
        size = max(1, min(components, int((scale > 1e-6 * scale[0]).sum())))
        return cls(images, mean, directions[:size], scale[:size])

    @property
    def size(self) -> int:
        return len(self.scale)

    @property
    def centre(self) -> Array:
        return np.zeros(self.size)

    def start(self, n: int, rng: Generator) -> Array:
        return rng.standard_normal((n, self.size))

    def decode(self, z: Any) -> Any:
        flat = (z * matching(self.scale, z)) @ matching(self.components, z) + matching(self.mean, z)
        return flat.reshape(len(z), *self.images.shape).clip(self.images.low, self.images.high)

    def encode(self, x: Array) -> Array:
        """Return the latents (n, size) of the closest images to x (n, channels, height, width)."""
        return (x.reshape(len(x), -1) - self.mean) @ self.components.T / self.scale

    def penalty(self, z: Any) -> Any:
        """Return minus the log of the Gaussian density, per number of the latent and up to a constant (n,)."""
        return (z**2).mean(1) / 2

    def confine(self, z: Any) -> Any:
        return ball(z, self.reach)


@lru_cache(maxsize=2)
def _eigenfaces(content: bytes, kind: str, shape: tuple[int, ...], mirrored: bool) -> tuple[Array, Array, Array]:
    """Return mean (pixels,), deviations (d,) and directions (d, pixels); every attack of an audit asks for them."""
    x = np.frombuffer(content, kind).reshape(shape)
    x = np.concatenate([x, x[..., ::-1]]) if mirrored else x
    flat = x.reshape(len(x), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, strength, directions = np.linalg.svd(flat - mean, full_matrices=False)
    return mean, strength / np.sqrt(len(flat) - 1), directions
