"""The difference of two shares: an example from the paper, and coverage."""

import numpy as np
import pytest

from safelight.measures.shares import share_difference


def test_newcombes_own_examples():
    # Newcombe 1998, Statistics in Medicine 17, table II, method 10: cases (a) 56/70 - 48/80 and (h) 10/10 - 0/10.
    made = share_difference(56, 70, 48, 80)
    assert (made.value, made.low, made.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    extreme = share_difference(10, 10, 0, 10)
    assert (extreme.low, extreme.high) == pytest.approx((0.6075, 1.0), abs=5e-5)


def test_the_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        made = share_difference(int(rng.binomial(100, 0.8)), 100, int(rng.binomial(100, 0.6)), 100)
        assert made.low is not None
        assert made.high is not None
        held += made.low <= 0.2 <= made.high
    assert 0.935 <= held / 2000 <= 0.975
