"""What an attacker takes for granted about the records: a space of latents, and how likely each place in it is.

`decode` and `penalty` take numpy arrays and torch tensors alike: search without gradients stays free of torch.
"""

from __future__ import annotations

from typing import Any, Protocol

from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.targets.base import Images, View


class Prior(Protocol):
    """A space of latents z (n, size) that decode to images (n, channels, height, width) in [low, high].

    Attributes:
        images: shape and range of what is decoded.
        size: numbers a latent.
        centre: (size,) the latent of the most likely image.
    """

    @property
    def images(self) -> Images: ...

    @property
    def size(self) -> int: ...

    @property
    def centre(self) -> Array: ...

    def start(self, n: int, rng: Generator) -> Array:
        """Return latents (n, size) drawn from the prior."""
        ...

    def decode(self, z: Any) -> Any:
        """Return the images of latents (n, size)."""
        ...

    def penalty(self, z: Any) -> Any:
        """Return how unlikely each latent is (n,); 0 or more."""
        ...

    def confine(self, z: Any) -> Any:
        """Return the nearest latents (..., size) that decode to something plausible."""
        ...


def ball(z: Any, reach: float) -> Any:
    """Return latents (..., size) drawn in to a length of `reach` times that of a typical standard normal vector.

    A standard normal vector of many numbers has nearly always the same length, sqrt(size): beyond it lie caricatures,
    whatever the scale of the model's logits is.
    """
    length = (z**2).mean(-1)[..., None] ** 0.5
    return z / (length / reach).clip(1)


def matching(array: Array, like: Any) -> Any:
    """Return `array` as a tensor of the type of `like` if that is a tensor, else as it is."""
    if type(like).__module__.partition(".")[0] != "torch":
        return array
    import torch

    return torch.as_tensor(array, dtype=like.dtype)


def public_images(view: View) -> Array:
    """Return the attacker's public images (n, channels, height, width).

    Raises:
        AccessDenied: the threat model grants no public data.
        InputError: the public images are of another shape than the target takes, or there are fewer than 2.
    """
    public: Records | None = view.side.public
    if public is None:
        raise AccessDenied(
            "This attack needs public images and has none; add public images to the data and "
            '"public" to what the attacker knows.'
        )
    if public.is_table or public.x.shape[1:] != view.images.shape:
        shape = "a table" if public.is_table else public.x.shape[1:]
        raise InputError(f"Public images are {shape}, but the target takes {view.images.shape}; resize them.")
    if len(public) < 2:
        raise InputError(f"{len(public)} public image(s) cannot describe how images vary; give at least 2.")
    return public.x
