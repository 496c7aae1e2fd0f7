"""The matcher: a correlation that no brightness or contrast can please."""

import numpy as np

from safelight.controls.matcher import class_likeness, likeness, own_rank


def test_likeness_is_the_correlation_after_taking_off_the_centre():
    rng = np.random.default_rng(0)
    pictures, gallery, centre = rng.random((3, 1, 4, 4)), rng.random((5, 1, 4, 4)), rng.random((1, 4, 4))
    for i, a in enumerate(pictures - centre):
        for j, b in enumerate(gallery - centre):
            literal = np.corrcoef(a.ravel(), b.ravel())[0, 1]
            assert np.isclose(likeness(pictures, gallery, centre)[i, j], literal)


def test_a_flat_picture_is_like_nothing():
    gallery = np.random.default_rng(1).random((2, 1, 4, 4))
    assert (likeness(np.ones((1, 1, 4, 4)), gallery, np.zeros((1, 4, 4))) == 0).all()


def test_a_photo_is_most_like_its_own_class(digits):
    held = digits.take(np.arange(1000))
    means = np.stack([digits.x[1000:][digits.y[1000:] == c].mean(0) for c in range(10)])
    similarity = class_likeness(means, held.x, held.y, np.arange(10))
    assert (own_rank(similarity) == 1).all()


def test_ties_count_against():
    assert own_rank(np.zeros((3, 3))).tolist() == [3, 3, 3]
