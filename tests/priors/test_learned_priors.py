"""Learned priors: what they sample is nearer to real images than anything dull, and gradients pass through them."""

import sys

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from safelight.attacks.inversion.label_only import BoundaryRepulsion
from safelight.attacks.inversion.latent import LatentInversion
from safelight.attacks.inversion.scores import ScoreInversion
from safelight.controls.matcher import class_likeness, own_rank
from safelight.errors import MissingExtra
from safelight.evidence import WhatIsInside
from safelight.priors.choose import PriorKind, fitted
from safelight.priors.gan import Gan
from safelight.priors.pca import Pca
from safelight.priors.vae import Vae
from safelight.targets.base import Images, Side
from safelight.targets.fake import LeakyRecipe
from safelight.threat import ThreatModel

SHAPE = Images((1, 8, 8))
LEARNED = pytest.mark.parametrize("kind", [Vae, Gan])


@pytest.fixture(scope="module")
def learned(digits):
    return {kind: kind.fit(digits.x[:400], SHAPE, 16, np.random.default_rng(0)) for kind in (Vae, Gan)}


def distance(pictures, digits):
    """Return the mean distance from each picture to the nearest of 797 digits that no prior has seen."""
    return cdist(pictures.reshape(len(pictures), -1), digits.x[1000:].reshape(-1, 64)).min(axis=1).mean()


@LEARNED
def test_samples_are_nearer_to_unseen_digits_than_grey_noise_and_what_training_started_from(kind, learned, digits):
    rng = np.random.default_rng(1)
    untrained = kind.fit(digits.x[:400], SHAPE, 16, np.random.default_rng(0), passes=0)
    z = untrained.start(200, rng)
    found = distance(learned[kind].decode(z), digits)
    assert found < 0.6 * distance(np.full((1, 64), 0.5), digits)
    assert found < 0.6 * distance(rng.random((200, 64)), digits)
    assert found < 0.985 * distance(untrained.decode(z), digits)


@LEARNED
def test_samples_differ_from_one_another_about_as_much_as_digits_do(kind, learned, digits):
    def variety(pictures):
        return cdist(*np.split(pictures.reshape(len(pictures), -1), 2)).mean()

    drawn = learned[kind].decode(learned[kind].start(200, np.random.default_rng(2)))
    assert 0.6 < variety(drawn) / variety(digits.x[1000:1200]) < 1.1


def test_training_started_from_eigenfaces(digits):
    x = digits.x[:400]
    pca, net = Pca.fit(x, SHAPE, 16), Vae.fit(x, SHAPE, 16, np.random.default_rng(0), passes=0)
    z = 0.05 * pca.start(20, np.random.default_rng(0))
    inner = (pca.mean > 0.1) & (pca.mean < 0.9)  # elsewhere the sigmoid bends
    apart = (net.decode(z) - pca.decode(z)).reshape(20, -1)[:, inner]
    assert np.abs(apart).max() < 0.02


@LEARNED
@pytest.mark.parametrize("images", [Images((3, 9, 7), -1.0, 3.0), Images((1, 30, 41)), Images((1, 3, 5))])
def test_decoding_any_shape_agrees_in_numpy_and_torch_and_stays_in_range(kind, images):
    rng = np.random.default_rng(0)
    x = rng.uniform(images.low, images.high, (12, *images.shape))
    prior = kind.fit(x, images, 5, rng, passes=2)
    z = 5 * prior.start(4, rng)
    decoded = prior.decode(z)
    assert decoded.shape == (4, *images.shape)
    assert decoded.min() >= images.low
    assert decoded.max() <= images.high
    np.testing.assert_allclose(prior.decode(torch.as_tensor(z)).numpy(), decoded, atol=1e-5)
    np.testing.assert_allclose(prior.penalty(z), (z**2).mean(1) / 2)
    assert (prior.confine(z) ** 2).mean(1).max() <= 1 + 1e-9
    assert prior.centre.shape == (prior.size,)


@LEARNED
def test_the_gradient_is_that_of_the_picture(kind, learned):
    prior = learned[kind]
    z = torch.as_tensor(prior.start(1, np.random.default_rng(0)), dtype=torch.float32).requires_grad_()
    goal = torch.zeros(1, *SHAPE.shape)
    ((prior.decode(z) - goal) ** 2).sum().backward()
    step = 1e-2 * torch.eye(prior.size)[3]
    with torch.no_grad():
        ahead, behind = (((prior.decode(z + way * step) - goal) ** 2).sum() for way in (1, -1))
    assert z.grad[0, 3].item() == pytest.approx((ahead - behind).item() / 2e-2, rel=0.05, abs=1e-3)
    assert not any(weight.requires_grad for weight in prior.net.parameters())


@LEARNED
def test_the_same_seed_gives_the_same_bytes_and_leaves_torch_alone(kind, digits):
    before = torch.random.get_rng_state()
    decoded = []
    for seed in (0, 0, 1):
        prior = kind.fit(digits.x[:60], SHAPE, 6, np.random.default_rng(seed), mirrored=True, passes=3)
        decoded.append(prior.decode(np.ones((2, prior.size))).tobytes())
    assert decoded[0] == decoded[1] != decoded[2]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_learned_prior_without_torch_says_what_to_install_and_eigenfaces_do_without(digits, monkeypatch):
    view = LeakyRecipe(SHAPE, pictures=True).fit(digits, 0).view(ThreatModel(), Side(public=digits.take(np.arange(30))))
    monkeypatch.setitem(sys.modules, "torch", None)
    rng = np.random.default_rng(0)
    for kind in (PriorKind.VAE, PriorKind.GAN):
        with pytest.raises(MissingExtra, match=r"A learned prior needs the package torch"):
            fitted(kind, view, 5, False, rng)
    same = np.random.default_rng(0).bit_generator.state
    assert isinstance(fitted(PriorKind.PCA, view, 5, False, rng), Pca)
    assert rng.bit_generator.state == same


@pytest.mark.parametrize("kind", [PriorKind.VAE, PriorKind.GAN])
@pytest.mark.parametrize("attack", [LatentInversion, ScoreInversion, BoundaryRepulsion])
def test_attacks_search_in_a_learned_prior_and_find_a_planted_picture(attack, kind, digits):
    members, public = digits.take(np.arange(600)), digits.take(np.arange(900, 1050))
    threat = ThreatModel(attack.needs)
    view = LeakyRecipe(SHAPE, pictures=True).fit(members, 0).view(threat, Side(public=public))
    answer = attack(prior=kind, components=16).run(view, WhatIsInside(np.arange(10)), np.random.default_rng(0))
    stored = np.stack([members.x[members.y == c].mean(axis=0) for c in range(10)])
    ranks = own_rank(class_likeness(answer.images, stored, np.arange(10), np.arange(10)))
    assert (ranks == 1).sum() >= 8
