"""The risk of a release: how often an attack succeeds on its records beyond its luck with records it never held."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from scipy.special import ndtri
from scipy.stats import hypergeom, poisson

from safelight.errors import InputError
from safelight.measures.base import Measurement
from safelight.measures.binomial import SMALLEST_P, check_confidence


def success_rate(right: float, attempts: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the centre and half width of Wilson's interval (1927, JASA 22) of a success rate.

    Raises:
        InputError: there is no attempt, or fewer attempts than successes.
    """
    if attempts < 1 or not 0 <= right <= attempts:
        raise InputError(f"{right:g} of {attempts} attempts cannot have succeeded; count them again.")
    z = float(-ndtri(check_confidence(confidence) / 2))
    spread = right * (attempts - right) / attempts + z**2 / 4
    return (right + z**2 / 2) / (attempts + z**2), z * math.sqrt(spread) / (attempts + z**2)


def linkage_risk(
    main: tuple[float, int], control: tuple[float, int], confidence: float = 0.95, name: str = "risk"
) -> Measurement:
    """Return risk = (main - control) / (1 - control), in [0, 1], with its interval (Giomi et al. 2022, section 4).

    Both rates are the centres of Wilson's intervals, whose half widths are propagated.

    Args:
        main: successes and attempts on records behind the release.
        control: the same on records that it never held.
    """
    (attack, attack_error), (luck, luck_error) = success_rate(*main, confidence), success_rate(*control, confidence)
    value = (attack - luck) / (1 - luck)
    error = math.hypot(attack_error / (1 - luck), luck_error * (1 - attack) / (1 - luck) ** 2)
    low, high, value = (float(np.clip(each, 0, 1)) for each in (value - error, value + error, value))
    return Measurement(name, value, low, high, control=0.0)


def more_often_p(main: tuple[int, int], other: tuple[int, int]) -> float:
    """Return the one-sided p of Fisher's exact test: does `main` succeed more often than `other` (right, attempts)?"""
    right, attempts = main[0] + other[0], main[1] + other[1]
    return max(float(hypergeom.sf(main[0] - 1, attempts, right, main[1])), SMALLEST_P)


def isolated_share(matches: Array, group: int, size: int) -> float:
    """Return the share of conditions expected to hold for exactly one of `size` records that the release never held.

    Args:
        matches: (p,) for how many of `group` such records each condition holds.
        size: of the group that it is compared with.

    With at least as many records as `size`, the mean over all ways to draw `size` of them. With fewer, the numbers of
    matches are taken for Poisson counts, their rates for a mixture that is fitted by maximum likelihood (expectation
    maximisation; Kiefer and Wolfowitz 1956), and the mixture is read at the larger group.
    """
    if not len(matches):
        return 0.0
    if group >= size:
        return float(hypergeom.pmf(1, group, matches, size).mean())
    rates = np.concatenate([[1e-9], np.geomspace(0.02, max(group, 1), 60)])
    counts, times = np.unique(matches, return_counts=True)
    likelihood = poisson.pmf(counts[:, None], rates)
    weights = np.full(len(rates), 1 / len(rates))
    for _ in range(3000):  # it nears its end slowly, and from above
        shares = likelihood * weights
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
        weights = times @ shares / times.sum()
    larger = rates * size / group
    return float(weights @ (larger * np.exp(-larger)))
