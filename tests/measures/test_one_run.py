"""One-run bounds: published numbers, slow literal versions, and planted truth."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from safelight.errors import InputError
from safelight.measures.one_run import (
    epsilon_f_dp_one_run,
    epsilon_one_run,
    gdp_rejected,
    mu_one_run,
    steinke_p,
)

counts = st.integers(1, 60).flatmap(
    lambda coins: st.integers(1, coins).flatmap(
        lambda guesses: st.tuples(st.just(coins), st.just(guesses), st.integers(0, guesses))
    )
)


@pytest.mark.parametrize(
    ("coins", "guesses", "correct", "epsilon", "f_dp", "mu"),
    [
        (100, 100, 75, 0.7019, 1.5736, 0.4043),
        (100, 100, 100, 3.4902, 8.2162, 1.7032),
        (1000, 100, 95, 2.1652, 3.3233, None),
        (1000, 1000, 600, 0.2972, 0.5835, None),
        (5000, 500, 400, 1.1952, 1.6832, None),
        (20, 20, 20, 1.8221, 4.7339, 1.0698),
    ],
)
def test_published_counts(
    coins: int, guesses: int, correct: int, epsilon: float, f_dp: float, mu: float | None
) -> None:
    assert epsilon_one_run(coins, guesses, correct, 1e-5) == pytest.approx(epsilon, abs=5e-5)
    assert epsilon_f_dp_one_run(coins, guesses, correct, 1e-5) == pytest.approx(f_dp, abs=5e-5)
    if mu is not None:
        assert mu_one_run(coins, guesses, correct) == pytest.approx(mu, abs=5e-5)


@pytest.mark.parametrize(
    ("coins", "correct", "candidates", "mu"), [(20, 20, 5, 1.5863), (40, 40, 10, 2.0725), (40, 20, 10, 0.7440)]
)
def test_published_larger_alphabets(coins: int, correct: int, candidates: int, mu: float) -> None:
    assert mu_one_run(coins, coins, correct, candidates) == pytest.approx(mu, abs=5e-5)


def literal_steinke(coins: int, guesses: int, correct: int, epsilon: float, delta: float) -> float:
    """Sum the binomial in exact fractions."""
    q = Fraction(1 / (1 + math.exp(-epsilon)))
    mass = [math.comb(guesses, j) * q**j * (1 - q) ** (guesses - j) for j in range(guesses + 1)]
    beta = sum(mass[correct:], Fraction(0))
    averages = [sum((mass[correct - j] for j in range(1, i + 1)), Fraction(0)) / i for i in range(1, correct + 1)]
    return float(min(Fraction(1), beta + 2 * coins * Fraction(delta) * max(averages, default=Fraction(0))))


@settings(max_examples=40, deadline=None)
@given(counts, st.floats(0.0, 4.0), st.sampled_from([0.0, 1e-9, 1e-5, 1e-3, 0.1]))
def test_steinke_p_is_the_literal_sum(shape: tuple[int, int, int], epsilon: float, delta: float) -> None:
    p = steinke_p(*shape, epsilon, delta)
    assert p == pytest.approx(literal_steinke(*shape, epsilon, delta), rel=1e-9)
    assert 0.0 < p <= 1.0


def literal_rejected(mu: float, coins: int, guesses: int, correct: int, candidates: int, alpha: float) -> bool:
    """Fill both tables of the recursion to the end, as the paper writes it."""
    r, h = [0.0] * (correct + 1), [0.0] * (correct + 1)
    r[correct], h[correct] = alpha * correct / coins, alpha * (guesses - correct) / coins
    for i in range(correct - 1, -1, -1):
        h[i] = max(h[i + 1], (candidates - 1) * norm.cdf(norm.ppf(min(r[i + 1], 1.0)) - mu))
        r[i] = r[i + 1] + i / (guesses - i) * (h[i] - h[i + 1])
    return r[0] + h[0] > guesses / coins


@settings(max_examples=25, deadline=None)
@given(counts, st.floats(0.0, 3.0), st.sampled_from([2, 3, 10]), st.sampled_from([0.05, 0.001]))
def test_recursion_is_the_literal_one(shape: tuple[int, int, int], mu: float, candidates: int, alpha: float) -> None:
    literal = {literal_rejected(mu * nudge, *shape, candidates, alpha) for nudge in (1 - 1e-9, 1, 1 + 1e-9)}
    assume(len(literal) == 1)
    assert gdp_rejected(mu, *shape, candidates, alpha) in literal


@settings(max_examples=30, deadline=None)
@given(counts, st.sampled_from([2, 4]))
def test_bounds_rise_with_right_guesses_and_never_pass_the_ceiling(
    shape: tuple[int, int, int], candidates: int
) -> None:
    coins, guesses, correct = shape
    mu, epsilon = mu_one_run(coins, guesses, correct, candidates), epsilon_one_run(coins, guesses, correct, 1e-5)
    assert mu <= mu_one_run(coins, guesses, guesses, candidates) + 1e-9
    assert epsilon <= epsilon_one_run(coins, guesses, guesses, 1e-5) + 1e-9
    if correct > 0:
        assert mu_one_run(coins, guesses, correct - 1, candidates) <= mu + 1e-9
        assert epsilon_one_run(coins, guesses, correct - 1, 1e-5) <= epsilon + 1e-9


@settings(max_examples=30, deadline=None)
@given(counts, st.floats(0.0, 3.0), st.floats(0.0, 2.0))
def test_what_is_rejected_stays_rejected_below(shape: tuple[int, int, int], value: float, more: float) -> None:
    if gdp_rejected(value + more, *shape):
        assert gdp_rejected(value, *shape)
    if steinke_p(*shape, value + more, 1e-5) <= 0.05:
        assert steinke_p(*shape, value, 1e-5) <= 0.05


@settings(max_examples=20, deadline=None)
@given(counts, st.floats(0.5, 0.98), st.floats(0.001, 0.019))
def test_more_confidence_is_less_bound(shape: tuple[int, int, int], confidence: float, more: float) -> None:
    assert mu_one_run(*shape, confidence=confidence + more) <= mu_one_run(*shape, confidence=confidence) + 1e-9
    assert (
        epsilon_one_run(*shape, 1e-6, confidence=confidence + more)
        <= epsilon_one_run(*shape, 1e-6, confidence=confidence) + 1e-9
    )


def test_planted_gaussian_is_measured_within_its_bound() -> None:
    """Each secret leaks through N(0, 1) or N(mu, 1); the bound may pass the true mu in at most 5 % of runs."""
    rng, mu, coins, guesses, runs = np.random.default_rng(1), 1.0, 400, 100, 400
    secret = rng.integers(0, 2, (runs, coins))
    seen = secret * mu + rng.standard_normal((runs, coins)) - mu / 2
    sure = np.argsort(-np.abs(seen), axis=1)[:, :guesses]
    right = np.take_along_axis((seen > 0) == secret, sure, axis=1).sum(axis=1)
    bound = {count: mu_one_run(coins, guesses, int(count)) for count in np.unique(right)}
    bounds = np.array([bound[count] for count in right])
    assert np.mean(bounds > mu) <= 0.05
    assert np.median(bounds) > 0.5


def test_planted_one_of_five_is_measured_within_its_bound() -> None:
    """Five candidates at mutual distance mu; the arg max guesses."""
    rng, mu, coins, runs = np.random.default_rng(2), 1.5, 100, 300
    secret = rng.integers(0, 5, (runs, coins))
    seen = rng.standard_normal((runs, coins, 5))
    np.put_along_axis(seen, secret[..., None], np.take_along_axis(seen, secret[..., None], 2) + mu / math.sqrt(2), 2)
    right = (seen.argmax(axis=2) == secret).sum(axis=1)
    bound = {count: mu_one_run(coins, coins, int(count), 5) for count in np.unique(right)}
    bounds = np.array([bound[count] for count in right])
    assert np.mean(bounds > mu) <= 0.05
    assert np.median(bounds) > 0.5


def test_planted_randomised_response_is_measured_within_its_bound() -> None:
    rng, epsilon, coins, runs = np.random.default_rng(3), 1.0, 1000, 1000
    right = rng.binomial(coins, 1 / (1 + math.exp(-epsilon)), runs)
    bound = {count: epsilon_one_run(coins, coins, int(count), 0.0) for count in np.unique(right)}
    bounds = np.array([bound[count] for count in right])
    assert np.mean(bounds > epsilon) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert np.median(bounds) > 0.8


def test_no_guess_no_bound() -> None:
    assert mu_one_run(10, 0, 0) == 0.0
    assert epsilon_one_run(10, 0, 0, 1e-5) == 0.0
    assert epsilon_one_run(10, 10, 10, 1.0) == 0.0
    assert mu_one_run(100, 100, 50) == 0.0
    # Significant on its own, and still too little for a bound.
    assert mu_one_run(100, 100, 59) == 0.0


def test_p_is_never_zero() -> None:
    assert 0.0 < steinke_p(5000, 5000, 5000, 0.0, 0.0) < 1e-300


@pytest.mark.parametrize("correct", [2600, 3000, 4000, 4999])
def test_fast_at_five_thousand_coins(correct: int) -> None:
    start = time.process_time()
    mu_one_run(5000, 5000, correct)
    between = time.process_time()
    epsilon_one_run(5000, 5000, correct, 1e-5)
    assert between - start < 0.1
    assert time.process_time() - between < 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((10, 11, 5), "11 guesses for 10 coins"),
        ((10, 10, 11), "11 of 10"),
        ((10, 10, -1), "-1 of 10"),
        ((0, 0, 0), "0 guesses for 0 coins"),
        ((10, 10, 5, 1), "at least 2 candidates, and it has 1"),
        ((10, 10, 5, 2, 1.0), "confidence must lie between 0 and 1"),
    ],
)
def test_impossible_counts(arguments: tuple[int, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mu_one_run(*arguments)


def test_impossible_delta() -> None:
    with pytest.raises(InputError, match=r"delta must lie between 0 and 1, and it is 2"):
        epsilon_one_run(10, 10, 5, 2.0)
