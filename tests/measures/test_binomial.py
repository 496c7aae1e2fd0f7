from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.errors import InputError
from safelight.measures.binomial import binomial_p, clopper_pearson


def literal_tail(correct: int, n: int, chance: Fraction) -> Fraction:
    return sum(
        (math.comb(n, j) * chance**j * (1 - chance) ** (n - j) for j in range(correct, n + 1)), start=Fraction(0)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 80), st.data(), st.sampled_from([2, 3, 10]))
def test_tail_is_the_literal_sum(n: int, data: st.DataObject, k: int) -> None:
    correct = data.draw(st.integers(0, n))
    p = binomial_p(correct, n, 1 / k)
    assert p == pytest.approx(float(literal_tail(correct, n, Fraction(1, k))), rel=1e-9)
    assert 0.0 < p <= 1.0
    if correct:
        assert p <= binomial_p(correct - 1, n, 1 / k)


def test_known_values() -> None:
    assert binomial_p(80, 80, 0.5) == pytest.approx(2.0**-80)
    assert binomial_p(0, 0, 0.5) == 1.0
    assert binomial_p(5000, 5000, 0.1) > 0.0
    assert binomial_p(3, 10, 0.0) > 0.0
    assert binomial_p(3, 10, 1.0) == 1.0
    # The rule of three: 0 of 100 still allows 3.6 %.
    assert clopper_pearson(0, 100) == (0.0, pytest.approx(0.0362, abs=1e-4))
    assert clopper_pearson(100, 100) == (pytest.approx(0.9638, abs=1e-4), 1.0)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.data())
def test_interval_ends_are_where_the_tails_are(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    low, high = clopper_pearson(correct, n, 0.9)
    assert low <= correct / n <= high
    if correct > 0:
        assert binomial_p(correct, n, low) == pytest.approx(0.05, rel=1e-6)
    if correct < n:
        assert 1 - binomial_p(correct + 1, n, high) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("correct", "n", "chance"), [(5, 4, 0.5), (-1, 4, 0.5), (1, 4, 1.5)])
def test_impossible_counts(correct: int, n: int, chance: float) -> None:
    with pytest.raises(InputError, match="must be"):
        binomial_p(correct, n, chance)


def test_impossible_confidence() -> None:
    with pytest.raises(InputError, match="confidence must lie between 0 and 1"):
        clopper_pearson(1, 2, 0.0)
