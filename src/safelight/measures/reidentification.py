"""From right guesses among two to being found among k: one rule, on the scale of Gaussian differential privacy.

Of two equally likely candidates that differ by mu, no test is right more often than Phi(mu / 2). A secret that is
guessed with chance 1 / k from what is known beforehand is guessed with chance at most Phi(Phi^-1(1 / k) + mu) by an
attacker who learns as much (Dong, Roth and Su 2019, arXiv:1905.02383; Hayes et al. 2023, arXiv:2302.07225, theorem 2);
with two candidates Phi(mu / 2) is the sharper bound. So a success rate among two becomes a mu, and mu a success rate
among any k. The mu of an attack says how much that attack learnt, and bounds no other.
"""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from safelight.errors import InputError
from safelight.measures.binomial import clopper_pearson


def mu_of_success(success: float, k: int = 2) -> float:
    """Return the mu at which the best attacker has this success among k candidates.

    Args:
        success: in [0, 1]; at chance or below it mu is 0.
        k: candidates a secret (>= 2). With two it is 2 Phi^-1(success), else Phi^-1(success) - Phi^-1(1 / k).

    Returns:
        mu >= 0; infinite at success 1.

    Raises:
        InputError: success is no share, or k is below 2.
    """
    if not 0 <= success <= 1:
        raise InputError(f"success must be a share from 0 to 1, and it is {success}.")
    _check(k)
    if success <= 1 / k:
        return 0.0
    if success == 1:
        return math.inf
    return float(2 * ndtri(success) if k == 2 else ndtri(success) - ndtri(1 / k))


def success_among(mu: float, k: int) -> float:
    """Return how often one of k equally likely candidates is found at the most by who learns mu.

    It is Phi(Phi^-1(1 / k) + mu), and Phi(mu / 2) for k = 2, the inverse of `mu_of_success`.

    Raises:
        InputError: mu is negative, or k is below 2.
    """
    _check(k)
    if not mu >= 0:
        raise InputError(f"mu must be at least 0, and it is {mu}.")
    return float(ndtr(mu / 2) if k == 2 else ndtr(ndtri(1 / k) + mu))


def most_found(right: int, guesses: int, k: int, confidence: float = 0.95) -> float:
    """Return the upper limit of being found among k that right guesses of two candidates leave.

    The success among two is bounded by Clopper and Pearson from above, one-sided; then the rule above.

    Args:
        right: right guesses, 0 to `guesses`.
        guesses: two-candidate secrets guessed.
        k: candidates to be found among (>= 2).
        confidence: that the limit holds for these attacks, in (0, 1).

    Raises:
        InputError: the counts, k or the confidence are impossible.
    """
    high = clopper_pearson(right, guesses, 1 - 2 * (1 - confidence))[1] if confidence > 0.5 else 1.0
    return success_among(mu_of_success(high), k)


def guesses_needed(limit: float, k: int, confidence: float = 0.95, most: int = 1_000_000) -> int | None:
    """Return the fewest guesses with which an attack at chance among two shows that it finds at most `limit` among k.

    Half of the guesses right, as at chance, must leave an upper limit of at most `limit`. None where `most` do not.

    Raises:
        InputError: limit is not between 1 / k and 1.
    """
    _check(k)
    if not 1 / k < limit < 1:
        raise InputError(
            f"The limit is {limit:g} and chance among {k} is {1 / k:g}; give a limit above chance and below 1."
        )
    low, high = 1, 2
    while most_found(high // 2, high, k, confidence) > limit:
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if most_found(middle // 2, middle, k, confidence) <= limit else (middle, high)
    return high


def _check(k: int) -> None:
    if k < 2:
        raise InputError(f"k is {k}; there must be at least 2 candidates.")
