"""Shrinking: block means, shares of pixels, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from safelight.data.resize import shrink
from safelight.errors import InputError


def test_half_the_size_is_the_mean_of_two_by_two() -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 6))
    literal = (images[..., ::2, ::2] + images[..., 1::2, ::2] + images[..., ::2, 1::2] + images[..., 1::2, 1::2]) / 4
    assert np.allclose(shrink(images, (4, 3)), literal, atol=1e-14)


def test_other_sizes_share_pixels() -> None:
    row = np.array([[[[1.0, 2.0, 4.0]]]])
    # each new pixel covers one and a half old ones
    assert np.allclose(shrink(row, (1, 2)), [[[[(1 + 2 / 2) / 1.5, (2 / 2 + 4) / 1.5]]]])


@pytest.mark.parametrize("size", [(5, 7), (3, 11), (1, 1), (13, 11)])
def test_keeps_light_and_type(size: tuple[int, int]) -> None:
    images = np.random.default_rng(1).random((2, 3, 13, 11)).astype(np.float32)
    small = shrink(images, size)
    assert small.shape == (2, 3, *size)
    assert small.dtype == np.float32
    assert np.allclose(small.mean(axis=(2, 3)), images.mean(axis=(2, 3)), atol=1e-6)


@pytest.mark.parametrize("size", [(14, 11), (0, 5)])
def test_refuses_to_enlarge(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="13 x 11 cannot be shrunk"):
        shrink(np.zeros((1, 1, 13, 11)), size)
