from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import betabinom

from safelight.measures.threshold import above_threshold_p, allowed


def test_allowed_survives_rounding() -> None:
    assert [allowed(fpr, 100) for fpr in (0.009, 0.01, 0.29, 0.57, 0.07, 0.999)] == [0, 1, 29, 57, 7, 99]
    assert allowed(0.01, 99) == 0
    assert allowed(1.0, 7) == 7


@pytest.mark.parametrize(("members", "nonmembers", "r"), [(3, 4, 0), (4, 5, 2), (5, 3, 1)])
def test_p_counts_all_orders(members: int, nonmembers: int, r: int) -> None:
    """Every placing of the members among all ranks is as likely as any other."""
    above = []
    for places in combinations(range(members + nonmembers), members):
        others = sorted(set(range(members + nonmembers)) - set(places), reverse=True)
        above.append(sum(place > others[r] for place in places))
    for count in range(members + 1):
        literal = np.mean(np.array(above) >= count)
        assert above_threshold_p(count, members, r, nonmembers) == pytest.approx(literal, rel=1e-12)


def test_p_is_betabinomial_at_size_and_never_zero() -> None:
    count = np.array([0, 10, 30, 60])
    assert above_threshold_p(count, 2000, 10, 1000) == pytest.approx(betabinom.sf(count - 1, 2000, 11, 990), rel=1e-8)
    assert 0.0 < above_threshold_p(5000, 5000, 1, 5000) < 1e-100
