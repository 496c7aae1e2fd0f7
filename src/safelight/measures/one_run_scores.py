"""Lower bounds on the privacy loss from the scores of units that were in and of units that were out.

Where each coin decided whether a record was trained on, an attacker who guesses "in" for the g highest scores makes g
guesses. Several g are tried and Bonferroni pays for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy import ndarray as Array
from scipy.special import betaincinv

from safelight.errors import InputError
from safelight.measures.binomial import check_confidence
from safelight.measures.one_run import gdp_rejected, largest_rejected, steinke_p


def epsilon_of_scores(
    in_scores: Array,
    out_scores: Array,
    delta: float,
    confidence: float = 0.95,
    guesses: Sequence[int] | None = None,
) -> float:
    """Return the one-run lower bound on epsilon at `delta` (Steinke et al. 2023, arXiv:2305.08846).

    Args:
        in_scores: scores of units that were trained on, (a,); higher means "in". Infinities are allowed.
        out_scores: scores of units that were not, (b,). The coins number a + b.
        delta: in [0, 1].
        confidence: of the bound, e.g. 0.95.
        guesses: numbers of guesses, fixed beforehand. Without them the corners of the ROC's upper hull are tried, as
            published auditing code does; they are picked from the same scores, so that the bound is then too high in
            8 % of runs at a nominal 5 % (1,000 units a side; 9 % with 10,000). Judge with numbers fixed beforehand.

    Returns:
        epsilon in nats, at least 0.

    Raises:
        InputError: a side is empty, a score is not a number, or delta, confidence or guesses are impossible.
    """
    alpha, corners, coins = _corners(in_scores, out_scores, confidence, guesses)

    def rejects(corner: tuple[int, int]) -> Callable[[float], bool]:
        false, true = corner
        return lambda epsilon: steinke_p(coins, false + true, true, epsilon, delta) <= alpha

    return _largest_over([rejects(corner) for corner in corners])


def mu_of_scores(
    in_scores: Array, out_scores: Array, confidence: float = 0.95, guesses: Sequence[int] | None = None
) -> float:
    """Return the one-run lower bound on mu (Mahloujifar et al. 2025, arXiv:2410.22235).

    Arguments, caution and errors as for `epsilon_of_scores`; `epsilon_of_mu` turns it into an f-DP epsilon.

    Returns:
        mu, at least 0.
    """
    alpha, corners, coins = _corners(in_scores, out_scores, confidence, guesses)

    def rejects(corner: tuple[int, int]) -> Callable[[float], bool]:
        false, true = corner
        return lambda mu: gdp_rejected(mu, coins, false + true, true, 2, alpha)

    return _largest_over([rejects(corner) for corner in corners])


def epsilon_many_runs(in_scores: Array, out_scores: Array, delta: float, confidence: float = 0.95) -> float:
    """Return the classic lower bound on epsilon, for scores that come from independent trainings, one each.

    Largest log((TPR_low - delta) / FPR_high) over the corners of the ROC's upper hull, with one-sided Clopper-Pearson
    limits (Jagielski, Ullman and Oprea 2020, arXiv:2006.07709), half of each corner's error for each of the
    two. The corners are picked from the same scores: see the caution at `epsilon_of_scores`.

    Args:
        in_scores, out_scores, delta, confidence: as for `epsilon_of_scores`.

    Returns:
        epsilon in nats, at least 0.

    Raises:
        InputError: as for `epsilon_of_scores`.
    """
    alpha, corners, _ = _corners(in_scores, out_scores, confidence, None)
    false, true = np.array(corners, dtype=np.float64).T
    low = betaincinv(true, len(in_scores) - true + 1.0, alpha / 2.0)
    rest = len(out_scores) - false
    high = np.where(rest > 0, betaincinv(false + 1.0, np.maximum(rest, 1.0), 1.0 - alpha / 2.0), 1.0)
    best = float(np.max((low - delta) / high))
    return math.log(best) if best > 1.0 else 0.0


def roc_hull(in_scores: Array, out_scores: Array) -> Array:
    """Return the corners of the upper hull of the ROC, (corners, 2) counts: false and true "in" from (0, 0) on."""
    false, true = _counts(in_scores, out_scores)
    hull: list[tuple[int, int]] = []
    for x, y in zip(false.tolist(), true.tolist(), strict=True):
        while len(hull) > 1:
            (ax, ay), (bx, by) = hull[-2:]
            if (bx - ax) * (y - ay) < (by - ay) * (x - ax):
                break
            hull.pop()
        hull.append((x, y))
    return np.array(hull, dtype=np.int64)


def _corners(
    in_scores: Array, out_scores: Array, confidence: float, guesses: Sequence[int] | None
) -> tuple[float, list[tuple[int, int]], int]:
    """Return the level of each corner, the corners with at least one right guess, and the number of coins."""
    alpha = check_confidence(confidence)
    false, true = _counts(in_scores, out_scores)
    coins = int(false[-1] + true[-1])
    if guesses is None:
        hull = roc_hull(in_scores, out_scores)
        tests = len(hull)
    else:
        if len(guesses) == 0 or min(guesses) < 1 or max(guesses) > coins:
            raise InputError(
                f"each number of guesses must lie between 1 and the {coins} coins, and they are {guesses}."
            )
        tests = len(guesses)
        # Equal scores are guessed together, so that the choice never looks at the coins.
        hull = np.stack([false, true], axis=1)[np.searchsorted(false + true, guesses)]
    return alpha / tests, [(int(x), int(y)) for x, y in hull if y > 0], coins


def _counts(in_scores: Array, out_scores: Array) -> tuple[Array, Array]:
    """Return how many out and in score at least each threshold, from none to all."""
    inside, outside = np.asarray(in_scores, dtype=np.float64), np.asarray(out_scores, dtype=np.float64)
    if inside.ndim != 1 or outside.ndim != 1 or not len(inside) or not len(outside):
        raise InputError(f"each side needs one row of scores, and they have shapes {inside.shape} and {outside.shape}.")
    if np.isnan(inside).any() or np.isnan(outside).any():
        raise InputError("a score is NaN: drop the record or let the attack give it the lowest score.")
    thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
    true = len(inside) - np.searchsorted(np.sort(inside), thresholds, side="left")
    false = len(outside) - np.searchsorted(np.sort(outside), thresholds, side="left")
    return np.concatenate([[0], false]), np.concatenate([[0], true])


def _largest_over(tests: Sequence[Callable[[float], bool]]) -> float:
    """Return the largest bound; a test that does not reject the best so far is not solved."""
    best = 0.0
    for rejected in tests:
        best = largest_rejected(rejected, best)
    return best
