"""Noise for linear models whose proof is short: where minimisers move little, and where a push hides a record.

All sums run over records, so that neighbours (add-remove) differ in one term: J(w) = sum_i loss_i(w) + L/2 |w|^2, with
the offset as the weight of a feature that is always 1, regularised like the others. B is the largest norm of a record
with that feature.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from safelight.errors import InputError
from safelight.measures.gaussian_dp import mu_of_epsilon

SLACK = 1e-4
"""Largest gradient, over the largest of one record, with which a minimum counts as found."""

ASIDE = 0.01
"""Part of epsilon and delta that pays for minima not being found exactly (objective perturbation)."""


def clipped(rows: Array, bound: float) -> Array:
    """Return rows (n, d), those longer than `bound` shortened to it."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows * np.minimum(1.0, bound / np.maximum(norms, 1e-300)))


def with_one(rows: Array) -> Array:
    return np.column_stack([rows, np.ones(len(rows))])


def logistic(rows: Array, y: Array, classes: int, longest: float, penalty: float, push: Array | float = 0.0) -> Array:
    """Return the minimiser (k, d) of the logistic loss with `penalty`, plus <push, w>; k is 1 for two classes.

    Two classes have one row of weights with loss log(1 + exp(-+ w.x)); more have a row each with the softmax. No row
    is longer than `longest`.

    Raises:
        InputError: the minimum is not found to `SLACK`.
    """
    wide = 1 if classes == 2 else classes
    told = np.eye(classes)[y][:, -wide:]
    shape, reach = (wide, rows.shape[1]), gradient_bound(classes, longest)

    def at(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shape)
        scores = rows @ weights.T
        every = np.column_stack([np.zeros(len(rows)), scores]) if wide == 1 else scores
        loss = -float(log_softmax(every, axis=1)[np.arange(len(y)), y].sum())
        slope = (softmax(every, axis=1)[:, -wide:] - told).T @ rows + penalty * weights + push
        return loss + penalty / 2 * float((weights**2).sum()) + float((push * weights).sum()), slope.ravel()

    settings = {"gtol": SLACK * reach / (10 * math.sqrt(math.prod(shape))), "ftol": 0.0, "maxiter": 20000, "maxcor": 30}
    found = minimize(at, np.zeros(math.prod(shape)), jac=True, method="L-BFGS-B", options={**settings, "maxfun": 40000})
    left = float(np.linalg.norm(at(found.x)[1]))
    if left > SLACK * reach:
        raise InputError(
            f"The minimum was not found: a gradient of {left:.2g} is left where at most {SLACK * reach:.2g} may be; "
            "use a larger penalty, or a smaller bound on the rows."
        )
    return np.asarray(found.x.reshape(shape))


def gradient_bound(classes: int, longest: float) -> float:
    """Return the largest norm of one record's gradient: B for two classes, sqrt(2) B for more (softmax)."""
    return longest if classes == 2 else math.sqrt(2.0) * longest


def movement(classes: int, longest: float, penalty: float) -> float:
    """Return how far one record more moves the minimiser, at most.

    J' = J + loss is L-strongly convex and its gradient at the minimiser of J is that record's gradient alone, so the
    two minimisers are at most |gradient| / L apart (Chaudhuri et al. 2011, lemma 7, in sums). Each is found to a
    gradient of SLACK times the largest, which adds as much over L on either side.
    """
    return gradient_bound(classes, longest) * (1 + 2 * SLACK) / penalty


def noise(shape: tuple[int, ...], moves: float, epsilon: float, delta: float, rng: Generator) -> Array:
    """Return noise that hides a move of L2 length `moves`: Gaussian, or exp(-epsilon |b| / moves) where delta is 0.

    The Gaussian one has the exact scale for (epsilon, delta) (Balle and Wang 2018, arXiv:1805.06530); the other has a
    length from Gamma(d, moves / epsilon) and any direction (Chaudhuri et al. 2011, algorithm 1).
    """
    drawn = rng.normal(size=shape)
    if delta > 0:
        return drawn * moves / mu_of_epsilon(epsilon, delta)
    return drawn / np.linalg.norm(drawn) * rng.gamma(math.prod(shape), moves / epsilon)


def least_penalty(epsilon: float, longest: float) -> float:
    """Return the penalty from which the change of volume costs objective perturbation at most half of epsilon."""
    return longest**2 / 4 / math.expm1(epsilon * (1 - ASIDE) / 2)


def volume(longest: float, penalty: float) -> float:
    """Return log(1 + B^2 / (4 L)), the largest log-ratio of the determinants of two neighbours' Hessians."""
    return math.log1p(longest**2 / (4 * penalty))


def pushed(
    rows: Array, y: Array, longest: float, penalty: float, epsilon: float, delta: float, rng: Generator
) -> Array:
    """Return the minimiser (1, d) for two classes of the loss with a random linear push: objective perturbation.

    The push b = -J'(w) is a bijection of the minimiser w, so neighbours' densities at w differ by their Hessians'
    determinants, at most a factor 1 + B^2 / (4 L), and by the densities of two pushes that are a record's gradient
    s x apart, 0 < s < 1. For a Gaussian push of scale B / m the log of the latter is at most m^2 / 2 + m |Z| with Z
    normal, since x does not hang on w. So delta(epsilon) is at most twice that of a Gaussian mechanism with mu = m at
    epsilon - log(1 + B^2 / (4 L)). With delta 0 the push has density exp(-beta |b|) and
    beta B = epsilon - log(1 + B^2 / (4 L)) (Chaudhuri et al. 2011, section 3.3).
    Kifer et al. 2012 and Redberg et al. 2023 (arXiv:2401.00583) have bounds of this kind.

    A minimum is found only to a gradient of SLACK B: noise for that distance, paid by `ASIDE` of the budget, hides
    which side it was on (approximate minima perturbation, Iyengar et al. 2019).
    """
    most = epsilon * (1 - ASIDE) - volume(longest, penalty)
    if most <= 0:
        raise InputError(
            f"a penalty of {penalty:g} leaves nothing of epsilon {epsilon:g} to objective perturbation; use at least "
            f"{least_penalty(epsilon, longest):.3g}, or objective = false."
        )
    push = noise((1, rows.shape[1]), longest, most, delta * (1 - ASIDE) / 2, rng)
    found = logistic(rows, y, 2, longest, penalty, push)
    return found + noise(found.shape, 2 * SLACK * longest / penalty, epsilon * ASIDE, delta * ASIDE, rng)


def ridge(
    rows: Array, y: Array, longest: float, most: float, penalty: float, epsilon: float, delta: float, rng: Generator
) -> Array:
    """Return the weights (d,) of a ridge regression from noisy sums of products.

    With z = (x, y) the sums are those of z z^T. One record adds a matrix of Frobenius norm |z|^2, at most B^2 + most^2,
    so Gaussian noise on the upper triangle hides it (Dwork et al. 2014, STOC, "Analyze Gauss", algorithm 1). All else
    works on the noisy sums alone: eigenvalues below 0 are cut, and the penalty grows to the noise's own size.
    """
    both = np.column_stack([rows, np.clip(y, -most, most)])
    size = both.shape[1]
    drawn = noise((size, size), longest**2 + most**2, epsilon, delta, rng)
    upper = np.triu(both.T @ both + drawn)
    gram = upper + np.triu(upper, 1).T
    values, vectors = np.linalg.eigh(gram[:-1, :-1])
    scale = (longest**2 + most**2) / mu_of_epsilon(epsilon, delta)
    kept = np.maximum(values, 0.0) + max(penalty, scale * math.sqrt(size))
    return np.asarray(vectors @ ((vectors.T @ gram[:-1, -1]) / kept))
