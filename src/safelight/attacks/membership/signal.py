"""One number a record that a Gaussian fits: what likelihood-ratio attacks compare between models."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.membership.loss import log_odds


def signal(answers: Array, labels: Array, classes: int) -> Array:
    """Return how well answers fit the known labels, higher is better.

    For classifiers the log odds of the label (Carlini et al. 2022, section IV-C), kept finite by `smallest_step`. For
    regressors minus the log of the
    squared error, held above a millionth of the mean squared error so that an exact answer stays finite: that is ours.

    Args:
        answers: probabilities (..., n, classes), or predictions (..., n).
        labels: (n,) class numbers or real values.
        classes: number of classes; 0 for regression.

    Returns:
        (..., n).
    """
    if classes:
        return log_odds(answers, np.broadcast_to(labels, answers.shape[:-1]), smallest_step(answers))
    errors = (answers - labels) ** 2
    scale = float(np.mean(errors)) or 1.0
    return -np.log(np.maximum(errors / scale, 1e-6))


def smallest_step(answers: Array) -> float:
    """Return what probabilities of 0 are raised to, and those of 1 lowered by.

    A forest of 100 trees answers in coarse steps, and a probability of 0 means less than half a step: taken as next to
    nothing it would outweigh every other record. Where answers come as near to 0 as those of networks do, it is 1e-30.
    """
    off = np.minimum(answers, 1 - answers)
    shown = off[off > 1e-12]  # what is nearer to 0 is rounding
    least = float(shown.min()) if len(shown) else 1.0
    return least / 2 if least > 1e-9 else 1e-30
