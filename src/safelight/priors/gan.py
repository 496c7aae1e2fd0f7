"""A small generative adversarial network of the public images (Goodfellow et al. 2014, arXiv:1406.2661)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import need_torch
from safelight.priors.generated import Generated, decoder, shares_of
from safelight.priors.pca import Pca
from safelight.targets.base import Images

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Gan(Generated):
    """The generator of an adversarial network."""

    @classmethod
    def fit(
        cls,
        x: Array,
        images: Images,
        components: int,
        rng: Generator,
        mirrored: bool = False,
        passes: int = 40,
        rate: float = 2e-4,
        memory: float = 0.98,
    ) -> Gan:
        """Train on public images x (n, channels, height, width).

        The generator begins as eigenfaces; hinge loss with spectral normalisation (Miyato et al. 2018,
        arXiv:1802.05957). Real and generated images alike are shifted, and pieces of them blanked, before they are
        judged: a few hundred images would be learned by heart otherwise (Zhao et al. 2020, arXiv:2006.10738).

        Args:
            components: numbers a latent at most; fewer when the images span fewer.
            mirrored: add each image's mirror image; right for faces, wrong for writing.
            passes: over the images.
            rate: of both networks.
            memory: the generator that is kept is a running mean of the trained one, with this share of its past.

        Raises:
            MissingExtra: torch is not installed.
        """
        need_torch("A learned prior")
        import torch

        shares = shares_of(x, images, mirrored)
        pca = Pca.fit(shares, Images(images.shape), components)
        pixels = torch.as_tensor(shares)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            net, judge = decoder(images, pca.size, pca, 12), critic(images.shape[0])
            forger = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.5, 0.99))
            kept = copy.deepcopy(net)
            walk = torch.optim.Adam(judge.parameters(), lr=rate, betas=(0.5, 0.99))
            for _ in range(passes):
                for rows in np.array_split(rng.permutation(len(pixels)), max(1, len(pixels) // 40)):
                    forged = net(torch.randn(len(rows), pca.size))
                    walk.zero_grad()
                    real, fake = judge(changed(pixels[rows], rng)), judge(changed(forged.detach(), rng))
                    ((1 - real).relu().mean() + (1 + fake).relu().mean()).backward()
                    walk.step()
                    forger.zero_grad()
                    (-judge(changed(forged, rng)).mean()).backward()
                    forger.step()
                    with torch.no_grad():
                        for mean, now in zip(kept.parameters(), net.parameters()):
                            mean.lerp_(now, 1 - memory)
        return cls(images, kept.eval().requires_grad_(False), pca.size)


def critic(channels: int, width: int = 16) -> nn.Module:
    """Return a network from images (n, channels, height, width) to one value a place, high for real ones."""
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    layers: list[nn.Module] = []
    for before, after in ((channels, width), (width, 2 * width), (2 * width, 4 * width)):
        layers += [spectral_norm(nn.Conv2d(before, after, 3, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(4 * width, 1, 1)))


def changed(x: Tensor, rng: Generator) -> Tensor:
    """Return images (n, channels, height, width) brightened, shifted by up to an eighth, and with a quarter blanked."""
    import torch

    n, _, height, width = x.shape
    x = x + torch.as_tensor(rng.uniform(-0.2, 0.2, (n, 1, 1, 1)), dtype=x.dtype)
    rows, columns = np.arange(height), np.arange(width)
    down, right = (rng.integers(-side // 8, side // 8 + 1, (n, 1)) for side in (height, width))
    from_rows = torch.as_tensor(np.clip(rows + down, 0, height - 1))
    from_columns = torch.as_tensor(np.clip(columns + right, 0, width - 1))
    x = x[torch.arange(n)[:, None, None], :, from_rows[:, :, None], from_columns[:, None, :]].movedim(-1, 1)
    top, left = (rng.integers(-side // 4, side * 3 // 4 + 1, (n, 1)) for side in (height, width))
    inside = ((rows >= top) & (rows < top + height // 2))[:, None, :, None]
    inside = inside & ((columns >= left) & (columns < left + width // 2))[:, None, None, :]
    return x * torch.as_tensor(~inside, dtype=x.dtype)
