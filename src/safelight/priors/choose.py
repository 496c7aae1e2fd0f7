"""Which prior an attack searches in, fitted to the attacker's public images."""

from __future__ import annotations

from enum import Enum

from numpy.random import Generator

from safelight.priors.base import Prior, public_images
from safelight.priors.gan import Gan
from safelight.priors.pca import Pca
from safelight.priors.vae import Vae
from safelight.targets.base import View


class PriorKind(Enum):
    """How public images are described. Learned priors need torch, and up to a minute for a few hundred images."""

    PCA = "eigenfaces"
    VAE = "variational autoencoder"
    GAN = "generative adversarial network"


def fitted(kind: PriorKind, view: View, components: int, mirrored: bool, rng: Generator) -> Prior:
    """Return the prior, fitted to the public images behind this door; eigenfaces draw nothing from `rng`.

    Args:
        components: numbers a latent at most.
        mirrored: add each image's mirror image.

    Raises:
        AccessDenied: there are no public images.
        InputError: they do not fit the target.
        MissingExtra: a learned prior without torch.
    """
    x = public_images(view)
    if kind is PriorKind.PCA:
        return Pca.fit(x, view.images, components, mirrored)
    learned = Vae if kind is PriorKind.VAE else Gan
    return learned.fit(x, view.images, components, rng, mirrored)
