"""A network as the few kinds of layers that can be computed without seeing anything, on rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array


@dataclass(frozen=True)
class Dense:
    """x (n, inputs) becomes x weights^T + offsets.

    Attributes:
        weights: (outputs, inputs).
        offsets: (outputs,).
    """

    weights: Array
    offsets: Array

    def __call__(self, x: Array) -> Array:
        return x @ self.weights.T + self.offsets  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Convolution:
    """A convolution of flattened images (n, channels * height * width), with zeros around them.

    Attributes:
        weights: (outputs, channels, kernel, kernel).
        offsets: (outputs,).
        shape: (channels, height, width) of an image.
        stride: pixels from one place of the kernel to the next.
        padding: rows and columns of zeros on each side.
    """

    weights: Array
    offsets: Array
    shape: tuple[int, int, int]
    stride: int = 1
    padding: int = 0

    @property
    def output(self) -> tuple[int, int, int]:
        """(outputs, height, width) of what comes out."""
        kernel = self.weights.shape[2:]
        height, width = (
            (side + 2 * self.padding - k) // self.stride + 1 for side, k in zip(self.shape[1:], kernel, strict=True)
        )
        return len(self.weights), height, width

    def places(self) -> Array:
        """Return which input each weight meets (height * width, channels * kernel * kernel); a zero is the last."""
        pixels = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        edge = self.padding
        padded = np.pad(pixels, ((0, 0), (edge, edge), (edge, edge)), constant_values=pixels.size)
        kernel = self.weights.shape[2:]
        seen = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))  # type: ignore[call-overload]
        seen = seen[:, :: self.stride, :: self.stride]
        return seen.transpose(1, 2, 0, 3, 4).reshape(-1, self.weights[0].size)  # type: ignore[no-any-return]

    def __call__(self, x: Array) -> Array:
        met = np.column_stack([x, np.zeros(len(x))])[:, self.places()]  # (n, places, weights of a kernel)
        found = met @ self.weights.reshape(len(self.weights), -1).T + self.offsets
        return found.transpose(0, 2, 1).reshape(len(x), -1)  # type: ignore[no-any-return]

    def dense(self) -> Dense:
        """Return the same as one matrix, most of it zeros."""
        size = int(np.prod(self.shape))
        return Dense(self(np.eye(size)).T - self(np.zeros((1, size))).T, self(np.zeros((1, size)))[0])


@dataclass(frozen=True)
class Relu:
    """Negative numbers become 0."""

    def __call__(self, x: Array) -> Array:
        return np.maximum(x, 0.0)


@dataclass(frozen=True)
class Square:
    """Each number times itself: the one bend that costs a single product."""

    def __call__(self, x: Array) -> Array:
        return x * x


Layer = Dense | Convolution | Relu | Square


def plainly(layers: Sequence[Layer], x: Array) -> Array:
    """Return what the network answers (n, outputs) to rows (n, inputs), computed in the open in float64."""
    for layer in layers:
        x = layer(x)
    return x
