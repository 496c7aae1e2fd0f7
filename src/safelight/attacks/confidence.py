"""How sure a model is of the label that the attacker knows, also where answers reach it shortened or rounded."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array


def confidence(scores: Array, labels: Array) -> Array:
    """Return the probability that each answer gives to its known label.

    An answer of the k largest scores reads 0 for all others. What is missing from 1 is then shared equally among the
    classes that read 0: for two classes, or a full answer, that is exact; otherwise it is the mean of what was hidden.

    Args:
        scores: (..., classes) probabilities, perhaps shortened or rounded.
        labels: (...) known class numbers.

    Returns:
        (...) float64 in [0, 1].
    """
    shown = np.take_along_axis(scores, labels[..., None], axis=-1)[..., 0]
    missing = np.clip(1 - scores.sum(axis=-1), 0, None)
    hidden = (scores <= 0).sum(axis=-1)
    return np.where(shown > 0, shown, missing / np.maximum(hidden, 1))
