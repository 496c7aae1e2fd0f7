"""Random views of an image: what should not change who is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Views:
    """How far a random view may differ (Struppek et al. 2022, sections 3.4 and 3.5).

    Attributes:
        crop: share of each side that is kept at least, in (0, 1].
        ratio: largest stretch of one side against the other (>= 1).
        mirror: whether half of the views are mirrored.
    """

    crop: float = 0.9
    ratio: float = 1.0
    mirror: bool = False

    def boxes(self, n: int, rng: Generator) -> np.ndarray:
        """Return n random maps (n, 2, 3) from the unit square [-1, 1]^2 into itself, as affine_grid takes them."""
        side = rng.uniform(self.crop, 1, n)
        stretch = np.sqrt(self.ratio) ** rng.uniform(-1, 1, n)
        wide, high = np.minimum(side * stretch, 1), np.minimum(side / stretch, 1)
        across, down = rng.uniform(-1, 1, (2, n))
        flip = np.where(self.mirror & (rng.random(n) < 0.5), -1.0, 1.0)
        maps = np.zeros((n, 2, 3))
        maps[:, 0, 0], maps[:, 0, 2] = wide * flip, across * (1 - wide)
        maps[:, 1, 1], maps[:, 1, 2] = high, down * (1 - high)
        return maps

    def of(self, x: Tensor, rng: Generator) -> Tensor:
        """Return one random view of each image x (n, channels, height, width), of the same shape."""
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        maps = torch.as_tensor(self.boxes(len(x), rng), dtype=x.dtype)
        places = affine_grid(maps, list(x.shape), align_corners=False)
        return grid_sample(x, places, mode="bilinear", padding_mode="border", align_corners=False)


GENTLE = Views(crop=0.9)
HEAVY = Views(crop=0.5, ratio=1.2, mirror=True)
