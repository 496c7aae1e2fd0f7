"""Priors: what they decode, how they punish, in numpy and torch alike."""

import numpy as np
import pytest
import torch

from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.priors.base import public_images
from safelight.priors.pca import Pca
from safelight.priors.pixels import Pixels, total_variation
from safelight.targets.base import Images, Side
from safelight.targets.fake import LeakyRecipe
from safelight.threat import ThreatModel

SHAPE = Images((1, 8, 8))


def test_pca_is_the_eigenbasis_of_the_covariance(digits):
    x = digits.x[:300]
    prior = Pca.fit(x, SHAPE, 10)
    values, vectors = np.linalg.eigh(np.cov(x.reshape(300, -1).T.astype(float)))
    np.testing.assert_allclose(prior.scale**2, values[::-1][:10], rtol=1e-6)
    np.testing.assert_allclose(np.abs((prior.components * vectors[:, ::-1].T[:10]).sum(1)), 1, atol=1e-6)
    whole = Pca.fit(x, SHAPE, 64)
    np.testing.assert_allclose(whole.decode(whole.encode(x.astype(float))), x, atol=1e-6)


def test_decoding_agrees_in_numpy_and_torch_and_stays_in_range(digits):
    prior = Pca.fit(digits.x[:300], SHAPE, 20)
    z = 4 * prior.start(5, np.random.default_rng(0))
    images = prior.decode(z)
    np.testing.assert_allclose(prior.decode(torch.as_tensor(z)).numpy(), images, atol=1e-6)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_allclose(prior.penalty(z), (z**2).mean(1) / 2)


def test_mirror_images_make_the_prior_symmetric(digits):
    prior = Pca.fit(digits.x[:300], SHAPE, 20, mirrored=True)
    mean = prior.mean.reshape(8, 8)
    np.testing.assert_allclose(mean, mean[:, ::-1], atol=1e-6)


def test_more_directions_than_images_is_no_error(digits):
    assert Pca.fit(digits.x[:5], SHAPE, 100).size == 4


def test_pixels_decode_shares_of_the_range():
    prior = Pixels.grey(Images((1, 2, 2), -1.0, 3.0))
    assert (prior.decode(prior.centre[None]) == 1.0).all()
    at = Pixels.at(np.full((1, 2, 2), 3.0), prior.images)
    assert (at.centre == 1.0).all()


def test_total_variation_is_the_mean_step_between_neighbours():
    x = np.random.default_rng(0).random((2, 1, 4, 5))
    literal = []
    for image in x[:, 0]:
        down = [abs(image[r + 1, c] - image[r, c]) for r in range(3) for c in range(5)]
        right = [abs(image[r, c + 1] - image[r, c]) for r in range(4) for c in range(4)]
        literal.append(np.mean(down) + np.mean(right))
    np.testing.assert_allclose(total_variation(x), literal)
    np.testing.assert_allclose(total_variation(torch.as_tensor(x)).numpy(), literal)


def test_public_images_must_be_there_and_fit(digits):
    target = LeakyRecipe(SHAPE, pictures=True).fit(digits, 0)
    with pytest.raises(AccessDenied, match="needs public images"):
        public_images(target.view(ThreatModel()))
    wrong = Side(public=Records.of(np.zeros((3, 1, 9, 9)), np.zeros(3, int)))
    with pytest.raises(InputError, match=r"Public images are \(1, 9, 9\), but the target takes \(1, 8, 8\)"):
        public_images(target.view(ThreatModel(), wrong))
    with pytest.raises(InputError, match="1 public image"):
        public_images(target.view(ThreatModel(), Side(public=digits.take(np.array([0])))))
