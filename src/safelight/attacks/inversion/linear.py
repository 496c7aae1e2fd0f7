"""A first guess from random pictures alone: a linear model of the target, and the place that it likes best."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import solve

from safelight.priors.base import ball


def linear_model(z: Array, scores: Array, smallest: float, shrink: float = 0.1) -> tuple[Array, Array]:
    """Fit log-probabilities by ridge regression on the latents of the pictures that were asked.

    One answer holds the scores of all classes, so every picture serves every class. Scores of top-k answers and labels
    as rows of 0 and 1 will do, too.

    Args:
        z: (n, size) latents.
        scores: (n, classes) what the target said.
        smallest: added to scores before the logarithm.
        shrink: ridge penalty, in units of the latents' variance.

    Returns:
        weights (size, classes) and offsets (classes,) of log-probabilities up to a constant a row.
    """
    values = np.log(scores + smallest)
    values = values - values.mean(axis=1, keepdims=True)
    centre, offsets = z.mean(axis=0), values.mean(axis=0)
    centred = z - centre
    gram = centred.T @ centred + shrink * max(len(z), 1) * np.eye(z.shape[1])
    weights = solve(gram, centred.T @ (values - offsets), assume_a="pos")
    return weights, offsets - centre @ weights


def largest_margin(
    weights: Array, offsets: Array, classes: Array, reach: float, steps: int = 60, rate: float = 0.1
) -> Array:
    """Return, class by class, the latent of length up to `reach` with the largest margin: (len(classes), size).

    Adam on the margin over the best other class; numpy alone, as the model is linear.
    """
    rows = np.arange(len(classes))
    z = np.zeros((len(classes), len(weights)))
    first, second = np.zeros_like(z), np.zeros_like(z)
    for step in range(1, steps + 1):
        values = z @ weights + offsets
        values[rows, classes] = -np.inf
        uphill = (weights[:, classes] - weights[:, values.argmax(axis=1)]).T
        first, second = 0.9 * first + 0.1 * uphill, 0.999 * second + 0.001 * uphill**2
        move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        z = ball(z + rate * move, reach)
    return z
