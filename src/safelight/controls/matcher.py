"""How a rebuilt picture is compared with photographs: fixed before training, and not the audited model."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array


def likeness(pictures: Array, gallery: Array, centre: Array) -> Array:
    """Return normalised correlations (pictures, gallery) after taking off the same mean picture from both.

    Args:
        pictures: (n, ...) rebuilt pictures.
        gallery: (g, ...) photographs.
        centre: (...) the mean picture of all candidates alike.

    A flat picture has correlation 0 with everything.
    """
    return _unit(pictures, centre) @ _unit(gallery, centre).T


def class_likeness(pictures: Array, photos: Array, labels: Array, classes: Array) -> Array:
    """Return the mean likeness (pictures, classes) of each picture to the photos of each class.

    Args:
        photos: (n, ...), labels (n,); the centre is the mean of the class means, so that no class counts twice.
    """
    means = np.stack([photos[labels == c].mean(axis=0) for c in classes])
    each = likeness(pictures, photos, means.mean(axis=0))
    return np.stack([each[:, labels == c].mean(axis=1) for c in classes], axis=1)


def own_rank(similarity: Array) -> Array:
    """Return the rank (n,) of the own column in each row of (n, n): 1 is best, ties count against."""
    own = np.diag(similarity)[:, None]
    return (similarity >= own).sum(axis=1)


def _unit(images: Array, centre: Array) -> Array:
    flat = np.asarray(images, float).reshape(len(images), -1) - np.asarray(centre, float).reshape(-1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norm > 0, norm, 1.0)
