"""Augmentation: each picture moved as a literal loop moves it, nothing at no strength, less learnt by heart."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.augmentation import Augmentation, Moved
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe

IMAGES = torch.rand(40, 2, 5, 6, generator=torch.Generator().manual_seed(1))


def moved(image, down, right):
    """Return the picture whose pixel (i, j) is the old one at (i + down, j + right), the edge repeated."""
    channels, height, width = image.shape
    new = torch.empty_like(image)
    for channel in range(channels):
        for i in range(height):
            for j in range(width):
                row, column = min(max(i + down, 0), height - 1), min(max(j + right, 0), width - 1)
                new[channel, i, j] = image[channel, row, column]
    return new


def test_a_picture_is_moved_by_whole_pixels_and_its_edge_repeated():
    ours = Moved(2, flip=False, noise=0)(IMAGES, torch.Generator().manual_seed(5))
    by = torch.randint(-2, 3, (2, 40, 1), generator=torch.Generator().manual_seed(5))[:, :, 0]
    for number in range(40):
        assert torch.equal(ours[number], moved(IMAGES[number], int(by[0, number]), int(by[1, number])))
    assert len({tuple(one) for one in by.T.tolist()}) > 10


def test_half_are_mirrored_whole():
    ours = Moved(0, flip=True, noise=0)(IMAGES, torch.Generator().manual_seed(5))
    turned = [torch.equal(new, old.flip(-1)) for new, old in zip(ours, IMAGES)]
    same = [torch.equal(new, old) for new, old in zip(ours, IMAGES)]
    assert all(one != other for one, other in zip(turned, same))
    assert 8 < sum(turned) < 32


def test_noise_has_its_spread_and_stays_in_range():
    middle = torch.full((50, 1, 20, 20), 100.0)
    noise = Moved(0, False, 0.05, low=0, high=200)(middle, torch.Generator().manual_seed(1)) - 100
    assert float(noise.std()) == pytest.approx(10, rel=0.05)
    edge = Moved(0, False, 0.5)(torch.ones(5, 1, 9, 9), torch.Generator())
    assert float(edge.max()) == 1
    assert float(edge.min()) >= 0


def test_no_strength_is_the_plain_model(brief, noisy):
    none = Augmentation(shift=0, noise=0)(brief)
    one, two = (recipe.fit(noisy.members, 0).model.scores(noisy.public.x) for recipe in (brief, none))
    np.testing.assert_array_equal(one, two)


def test_less_is_learnt_by_heart(plain, noisy, leak, plain_leak):
    assert (leak(Augmentation(shift=1, noise=0.1)(plain), noisy) < plain_leak - 0.05).all()


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match="Augmentation changes the pictures of a torch training"):
        Augmentation()(SklearnRecipe(LogisticRegression()))
