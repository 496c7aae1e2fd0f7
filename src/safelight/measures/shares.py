"""The difference of two shares, with its interval."""

from __future__ import annotations

import math

from scipy.special import ndtri

from safelight.measures.base import Measurement
from safelight.measures.binomial import check_confidence, check_counts


def share_difference(right: int, n: int, other_right: int, other_n: int, confidence: float = 0.95) -> Measurement:
    """Return the first share less the second, with the score interval of Newcombe 1998 (method 10, without correction).

    Args:
        right, n: of the first; n >= 1.
        other_right, other_n: of the second, independent of the first; other_n >= 1.
        confidence: in (0, 1).

    Raises:
        InputError: the counts or the confidence are impossible.
    """
    check_counts(right, n)
    check_counts(other_right, other_n)
    z = float(ndtri(1 - check_confidence(confidence) / 2))
    first, second = right / n, other_right / other_n
    (low, high), (other_low, other_high) = _wilson(first, n, z), _wilson(second, other_n, z)
    gain = first - second
    below = math.sqrt((first - low) ** 2 + (other_high - second) ** 2)
    above = math.sqrt((high - first) ** 2 + (second - other_low) ** 2)
    return Measurement("share_difference", gain, gain - below, gain + above, control=0.0)


def _wilson(share: float, n: int, z: float) -> tuple[float, float]:
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle - half, middle + half
