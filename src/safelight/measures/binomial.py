"""Counts of right answers against chance."""

from __future__ import annotations

import sys

from scipy.special import betainc, betaincinv

from safelight.errors import InputError

SMALLEST_P = sys.float_info.min
"""A p-value is never printed as 0: smaller ones are cut here."""


def binomial_p(correct: int, guesses: int, chance: float) -> float:
    """Return the chance of at least `correct` right among `guesses` independent guesses.

    Args:
        correct: right guesses, 0 to `guesses`.
        guesses: number of guesses, at least 0.
        chance: probability that one guess is right by luck, in [0, 1].

    Returns:
        p in (0, 1]; 1 where nothing was guessed.

    Raises:
        InputError: the counts or the chance are impossible.
    """
    check_counts(correct, guesses)
    if not 0.0 <= chance <= 1.0:
        raise InputError(f"chance must be a probability, and it is {chance}.")
    if correct == 0:
        return 1.0
    return max(float(betainc(correct, guesses - correct + 1, chance)), SMALLEST_P)


def clopper_pearson(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a success rate (Clopper and Pearson 1934, Biometrika 26).

    Args:
        correct: successes, 0 to `n`.
        n: trials, at least 0.
        confidence: in (0, 1), e.g. 0.95.

    Returns:
        (low, high) in [0, 1]; (0, 1) without a trial.

    Raises:
        InputError: the counts or the confidence are impossible.
    """
    check_counts(correct, n)
    tail = check_confidence(confidence) / 2.0
    low = float(betaincinv(correct, n - correct + 1, tail)) if correct > 0 else 0.0
    high = float(betaincinv(correct + 1, n - correct, 1.0 - tail)) if correct < n else 1.0
    return low, high


def check_counts(correct: int, guesses: int) -> None:
    """Raise InputError unless 0 <= correct <= guesses."""
    if not 0 <= correct <= guesses:
        raise InputError(f"right guesses must be 0 to the number of guesses, and they are {correct} of {guesses}.")


def check_confidence(confidence: float) -> float:
    """Return 1 - confidence; raise InputError unless it is in (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie between 0 and 1, e.g. 0.95, and it is {confidence}.")
    return 1.0 - confidence
