"""Lower bounds on the privacy loss from the coins of one training run.

Each of m units had its secret drawn at random before training; an attacker guesses some of the secrets. Were the
training private, only so many guesses could be right. Inverting that gives a lower bound:

- on epsilon at a delta: Steinke, Nasr and Jagielski 2023, arXiv:2305.08846, appendix D;
- on mu of Gaussian differential privacy: Mahloujifar, Melis and Chaudhuri 2025, arXiv:2410.22235, the recursion
  for a trade-off curve and an alphabet of k secrets.

The guesses may be chosen by looking at the model, but their number must be fixed before. A fresh training with fresh
coins may be pooled: the counts add up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from scipy.special import betainc, gammaln

from safelight.errors import InputError
from safelight.measures.binomial import SMALLEST_P, check_confidence, check_counts
from safelight.measures.gaussian_dp import epsilon_of_mu, mu_of_epsilon

__all__ = [
    "epsilon_f_dp_one_run",
    "epsilon_of_mu",
    "epsilon_one_run",
    "gdp_rejected",
    "mu_of_epsilon",
    "mu_one_run",
    "steinke_p",
]


def epsilon_one_run(coins: int, guesses: int, correct: int, delta: float, confidence: float = 0.95) -> float:
    """Return the lower bound on epsilon at `delta` from coins with two sides (arXiv:2305.08846, appendix D).

    Args:
        coins: m, number of units whose secret was drawn, at least 1.
        guesses: how many of them were guessed, fixed beforehand, 0 to `coins`.
        correct: how many guesses were right, 0 to `guesses`.
        delta: in [0, 1].
        confidence: of the bound, e.g. 0.95.

    Returns:
        epsilon in nats, at least 0; every smaller epsilon is rejected at 1 - confidence.

    Raises:
        InputError: the counts, delta or the confidence are impossible.
    """
    alpha = check_confidence(confidence)
    check_guesses(coins, guesses, correct, 2, delta)
    return largest_rejected(lambda epsilon: steinke_p(coins, guesses, correct, epsilon, delta) <= alpha)


def mu_one_run(coins: int, guesses: int, correct: int, candidates: int = 2, confidence: float = 0.95) -> float:
    """Return the lower bound on mu from coins with `candidates` sides (arXiv:2410.22235).

    Args:
        coins: m, number of units whose secret was drawn, at least 1.
        guesses: how many of them were guessed, fixed beforehand, 0 to `coins`.
        correct: how many guesses were right, 0 to `guesses`.
        candidates: k, equally likely secrets a unit, at least 2.
        confidence: of the bound, e.g. 0.95.

    Returns:
        mu, at least 0; every smaller mu is rejected at 1 - confidence.

    Raises:
        InputError: the counts or the confidence are impossible.
    """
    alpha = check_confidence(confidence)
    check_guesses(coins, guesses, correct, candidates, 0.0)
    return largest_rejected(lambda mu: gdp_rejected(mu, coins, guesses, correct, candidates, alpha))


def epsilon_f_dp_one_run(
    coins: int, guesses: int, correct: int, delta: float, candidates: int = 2, confidence: float = 0.95
) -> float:
    """Return the epsilon at `delta` of the largest mu that `mu_one_run` rejects.

    It is a bound for Gaussian mechanisms only; `epsilon_one_run` holds for every mechanism. Arguments as there.

    Returns:
        epsilon in nats, at least 0.

    Raises:
        InputError: the counts, delta or the confidence are impossible.
    """
    check_guesses(coins, guesses, correct, candidates, delta)
    return epsilon_of_mu(mu_one_run(coins, guesses, correct, candidates, confidence), delta)


def steinke_p(coins: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Return the chance of so many right guesses under (epsilon, delta)-DP (arXiv:2305.08846, appendix D).

    W ~ Binomial(guesses, e^epsilon / (e^epsilon + 1)); p = beta + 2 m delta alpha with beta = Pr[W >= correct] and
    alpha = max over i of Pr[correct - i <= W < correct] / i.

    Args:
        coins: m, at least 1.
        guesses: 0 to `coins`.
        correct: 0 to `guesses`.
        epsilon: in nats, at least 0.
        delta: in [0, 1].

    Returns:
        p in (0, 1].

    Raises:
        InputError: the counts or delta are impossible.
    """
    check_guesses(coins, guesses, correct, 2, delta)
    if correct == 0:
        return 1.0
    log_right = -math.log1p(math.exp(-epsilon))
    beta = float(betainc(correct, guesses - correct + 1, math.exp(log_right)))
    if delta == 0.0 or beta >= 1.0:
        return max(min(beta, 1.0), SMALLEST_P)
    below = np.arange(correct - 1, -1, -1, dtype=np.float64)
    log_ways = gammaln(guesses + 1.0) - gammaln(below + 1.0) - gammaln(guesses - below + 1.0)
    mass = np.exp(log_ways + below * log_right + (guesses - below) * (log_right - epsilon))
    alpha = float(np.max(np.cumsum(mass) / np.arange(1.0, correct + 1.0)))
    return max(min(beta + 2.0 * coins * delta * alpha, 1.0), SMALLEST_P)


def gdp_rejected(mu: float, coins: int, guesses: int, correct: int, candidates: int = 2, alpha: float = 0.05) -> bool:
    """Tell whether mu-GDP is rejected at level `alpha` (arXiv:2410.22235, with the curve of mu-GDP).

    r and h bound the expected share of coins that are guessed right and wrong when i guesses are right; going down
    from i = correct, more of both would be needed than there are guesses.

    Args:
        mu: at least 0.
        coins: m, at least 1.
        guesses: c', 0 to `coins`.
        correct: c, 0 to `guesses`.
        candidates: k, at least 2.
        alpha: level, in (0, 1).

    Returns:
        True when no mu-GDP training gives so many right guesses with a chance above `alpha`.

    Raises:
        InputError: the counts are impossible.
    """
    check_guesses(coins, guesses, correct, candidates, 0.0)
    if correct == 0:
        return False
    share = guesses / coins
    right, wrong = alpha * correct / coins, alpha * (guesses - correct) / coins
    quantile, erfc, root = NormalDist().inv_cdf, math.erfc, math.sqrt(0.5)
    half = (candidates - 1) / 2.0
    # Both only grow, so the loop may end as soon as the answer is known.
    for i in range(correct - 1, -1, -1):
        if right >= 1.0 or right + wrong > share:
            break
        grown = half * erfc(root * (mu - quantile(right)))
        if grown <= wrong:
            break
        right = min(1.0, right + i / (guesses - i) * (grown - wrong))
        wrong = grown
    return right + wrong > share


def largest_rejected(rejected: Callable[[float], bool], start: float = 0.0) -> float:
    """Return the end of the range [start, x) in which `rejected` holds, from below; `start` where it never does."""
    if not rejected(start):
        return start
    low, step = start, 1.0
    while rejected(start + step):
        low, step = start + step, step * 2.0
    high = start + step
    while high - low > 1e-10 * max(1.0, high):
        middle = (low + high) / 2.0
        if rejected(middle):
            low = middle
        else:
            high = middle
    return low


def check_guesses(coins: int, guesses: int, correct: int, candidates: int, delta: float) -> None:
    """Raise InputError where the numbers of coins, guesses and right guesses, or delta, are impossible."""
    check_counts(correct, guesses)
    if guesses > coins or coins < 1:
        raise InputError(f"guesses must not outnumber the coins, and there are {guesses} guesses for {coins} coins.")
    if candidates < 2:
        raise InputError(f"a coin needs at least 2 candidates, and it has {candidates}.")
    if not 0.0 <= delta <= 1.0:
        raise InputError(f"delta must lie between 0 and 1, and it is {delta}.")
