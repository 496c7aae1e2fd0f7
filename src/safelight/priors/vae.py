"""A variational autoencoder of the public images (Kingma and Welling 2014, arXiv:1312.6114)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import need_torch
from safelight.priors.generated import Generated, decoder, shares_of
from safelight.priors.pca import Pca
from safelight.targets.base import Images


@dataclass(frozen=True)
class Vae(Generated):
    """The decoder of a variational autoencoder."""

    @classmethod
    def fit(
        cls,
        x: Array,
        images: Images,
        components: int,
        rng: Generator,
        mirrored: bool = False,
        passes: int = 100,
        spread: float = 0.1,
    ) -> Vae:
        """Train on public images x (n, channels, height, width).

        Both halves begin as eigenfaces. The bound of eq. 10 is climbed with one sample an image.

        Args:
            components: numbers a latent at most; fewer when the images span fewer.
            mirrored: add each image's mirror image; right for faces, wrong for writing.
            passes: over the images.
            spread: standard deviation of a pixel around its mean, in shares of the range.

        Raises:
            MissingExtra: torch is not installed.
        """
        need_torch("A learned prior")
        import torch
        from torch import nn

        shares = shares_of(x, images, mirrored)
        pca = Pca.fit(shares, Images(images.shape), components)
        pixels = torch.as_tensor(shares)
        places = torch.as_tensor(pca.encode(shares), dtype=torch.float32)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            net = decoder(images, pca.size, pca, 12)
            last = nn.Linear(256, 2 * pca.size)
            nn.init.zeros_(last.weight)
            encoder = nn.Sequential(nn.Linear(pca.size, 256), nn.SiLU(), last)
            walk = torch.optim.Adam([*net.parameters(), *encoder.parameters()], lr=1e-3)
            parts = max(1, len(pixels) // 40)
            plan = torch.optim.lr_scheduler.CosineAnnealingLR(walk, passes * parts)
            for _ in range(passes):
                for rows in np.array_split(rng.permutation(len(pixels)), parts):
                    shift, log_width = encoder(places[rows]).chunk(2, dim=1)
                    middle, log_width = places[rows] + shift, log_width - 1
                    z = middle + log_width.exp() * torch.randn_like(middle)
                    error = ((net(z) - pixels[rows]) ** 2).sum((1, 2, 3)) / (2 * spread**2)
                    # Kullback-Leibler divergence from the standard normal, appendix B of the paper.
                    divergence = (middle**2 + (2 * log_width).exp() - 1 - 2 * log_width).sum(1) / 2
                    walk.zero_grad()
                    (error + divergence).mean().backward()
                    walk.step()
                    plan.step()
        return cls(images, net.eval().requires_grad_(False), pca.size)
