"""What an audit could have seen: against a success rate of the attack, never against a true leak.

A weak attack finds nothing on a leaking model; power only says how an attack of a given strength would have fared.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from scipy.special import betainc, betaincinv, ndtr, ndtri

from safelight.errors import InputError
from safelight.measures.binomial import binomial_p
from safelight.measures.one_run import mu_one_run
from safelight.measures.threshold import above_threshold_p, allowed

_MOST_COINS = 100_000


def critical(coins: int, candidates: int, alpha: float) -> int | None:
    """Return the smallest number of right guesses that is significant, or None when even all right is not.

    Args:
        coins: number of guesses, one a coin, at least 0.
        candidates: k, equally likely secrets a coin, at least 2.
        alpha: level of the one-sided binomial test, in (0, 1).

    Raises:
        InputError: an argument is impossible.
    """
    _check(coins, candidates, alpha)
    if binomial_p(coins, coins, 1.0 / candidates) > alpha:
        return None
    low, high = 0, coins
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_p(middle, coins, 1.0 / candidates) <= alpha:
            high = middle
        else:
            low = middle
    return high


def power(coins: int, success: float, candidates: int, alpha: float) -> float:
    """Return the chance that an attack right with probability `success` on each coin is found.

    Args:
        coins: number of guesses, one a coin.
        success: in [0, 1].
        candidates: k, at least 2.
        alpha: level of the one-sided binomial test.

    Returns:
        power in [0, 1]; 0 where the audit is too small to find anything.

    Raises:
        InputError: an argument is impossible.
    """
    least = critical(coins, candidates, alpha)
    return 0.0 if least is None else binomial_p(least, coins, success)


def success_detectable(coins: int, candidates: int, alpha: float, power: float = 0.8) -> float | None:
    """Return the success rate a coin at which the audit reaches `power`, or None where it never does.

    Args:
        coins: number of guesses, one a coin.
        candidates: k, at least 2.
        alpha: level of the one-sided binomial test.
        power: in (0, 1).

    Raises:
        InputError: an argument is impossible.
    """
    _check_share("power", power)
    least = critical(coins, candidates, alpha)
    return None if least is None else float(betaincinv(least, coins - least + 1, power))


def coins_needed(
    success: float, candidates: int, alpha: float, power: float = 0.8, most: int = _MOST_COINS
) -> int | None:
    """Return the smallest n such that n coins, and any larger number, reach `power` against `success`.

    Power is a sawtooth in n, so one lucky n is not enough. Beyond the last n that is tried, Hoeffding's inequality
    promises the power.

    Args:
        success: of the attack on each coin, in [0, 1].
        candidates: k, at least 2.
        alpha: level of the one-sided binomial test.
        power: in (0, 1).
        most: give up beyond this many coins.

    Returns:
        n, or None when `success` is no better than chance or so close to it that `most` coins do not settle it.

    Raises:
        InputError: an argument is impossible.
    """
    _check(1, candidates, alpha)
    _check_share("power", power)
    if not 0.0 <= success <= 1.0:
        raise InputError(f"success must be a probability, and it is {success}.")
    above = success - 1.0 / candidates
    if above <= 0.0:
        return None
    slack = math.sqrt(-math.log(alpha) / 2.0) + math.sqrt(-math.log(1.0 - power) / 2.0)
    # Solves above * n >= slack * sqrt(n) + 1.
    promised = math.ceil(((slack + math.sqrt(slack * slack + 4.0 * above)) / (2.0 * above)) ** 2)
    if promised > most:
        return None
    n = np.arange(1, promised + 1)
    least = _critical_of_all(n, 1.0 / candidates, alpha)
    reached = np.where(least > n, 0.0, betainc(np.minimum(least, n), np.maximum(n - least, 0) + 1.0, success))
    failing = np.flatnonzero(reached < power)
    return int(n[failing[-1]]) + 1 if len(failing) else 1


def mu_ceiling(coins: int, guesses: int, candidates: int, confidence: float = 0.95) -> float:
    """Return the largest mu that this audit could have shown: the bound with every guess right.

    Args, errors: as for `mu_one_run`.
    """
    return mu_one_run(coins, guesses, guesses, candidates, confidence)


def tpr_power(members: int, nonmembers: int, fpr: float, tpr: float, alpha: float) -> float:
    """Return the power of the TPR test of `tpr_at_fpr` against an attack with `tpr` at `fpr`.

    The threshold is one of the nonmembers' scores, so its true FPR u varies as Beta(r + 1, nonmembers - r). The
    attack's curve is taken as Phi(Phi^-1(u) + d), the ROC of two unit Gaussians through (fpr, tpr).

    Args:
        members: number of members, at least 1.
        nonmembers: number of nonmembers, at least 1.
        fpr: false-positive rate asked for, in (0, 1).
        tpr: the attack's true-positive rate there, in (0, 1).
        alpha: level of the one-sided test.

    Returns:
        power in [0, 1]; 0 when `fpr` is below 1 / nonmembers and nothing can be measured.

    Raises:
        InputError: an argument is impossible.
    """
    _check(1, 2, alpha)
    _check_share("fpr", fpr)
    _check_share("tpr", tpr)
    if members < 1 or nonmembers < 1:
        raise InputError(f"both sides need a record, and there are {members} members and {nonmembers} nonmembers.")
    r = allowed(fpr, nonmembers)
    if r < 1:
        return 0.0
    tails = above_threshold_p(np.arange(members + 1), members, r, nonmembers)
    significant = np.flatnonzero(tails <= alpha)
    if not len(significant):
        return 0.0
    least = int(significant[0])
    steps = (np.arange(2000) + 0.5) / 2000
    u = betaincinv(r + 1.0, nonmembers - r, steps)
    curve = ndtr(ndtri(u) + float(ndtri(tpr) - ndtri(fpr)))
    return float(np.mean(betainc(least, members - least + 1.0, curve))) if least > 0 else 1.0


def _critical_of_all(n: Array, chance: float, alpha: float) -> Array:
    """Return for every n the smallest significant count, n + 1 where there is none; by bisection."""
    low, high = np.zeros_like(n), n + 1
    while np.any(high - low > 1):
        middle = (low + high) // 2
        inside = np.clip(middle, 1, n)
        significant = betainc(inside, n - inside + 1.0, chance) <= alpha
        open_ = high - low > 1
        high = np.where(open_ & significant, middle, high)
        low = np.where(open_ & ~significant, middle, low)
    return high


def _check(coins: int, candidates: int, alpha: float) -> None:
    if coins < 0:
        raise InputError(f"coins must be at least 0, and they are {coins}.")
    if candidates < 2:
        raise InputError(f"a coin needs at least 2 candidates, and it has {candidates}.")
    _check_share("alpha", alpha)


def _check_share(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} must lie between 0 and 1, and it is {value}.")
