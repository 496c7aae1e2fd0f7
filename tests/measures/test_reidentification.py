"""From two candidates to k: the rule against simulation, its limits, its errors."""

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.reidentification import guesses_needed, most_found, mu_of_success, success_among


def test_the_two_directions_agree():
    for k in (2, 5, 40):
        for mu in (0.1, 1.0, 2.5):
            assert mu_of_success(success_among(mu, k), k) == pytest.approx(mu)
    assert mu_of_success(0.5) == mu_of_success(0.3) == 0.0
    assert mu_of_success(1.0) == np.inf
    assert success_among(0.0, 40) == pytest.approx(1 / 40)


def test_two_gaussians_are_told_apart_as_the_rule_says():
    rng, mu = np.random.default_rng(0), 1.3
    coin = rng.integers(0, 2, 200_000)
    right = ((rng.normal(mu * coin) > mu / 2) == coin).mean()
    assert mu_of_success(float(right)) == pytest.approx(mu, abs=0.02)


@pytest.mark.parametrize("k", [2, 10, 40])
def test_nobody_finds_one_of_k_more_often_than_the_rule_allows(k):
    # The secret shifts its own place, each other place is noise: the best guess is the largest.
    rng, mu = np.random.default_rng(k), 1.0
    noise = rng.normal(size=(100_000, k))
    noise[:, 0] += mu / np.sqrt(2)  # two secrets differ at two places, so by mu
    assert (noise.argmax(axis=1) == 0).mean() <= success_among(mu, k) + 0.005


def test_the_upper_limit_holds_as_often_as_it_says():
    rng, k, mu = np.random.default_rng(1), 40, 0.4
    from scipy.special import ndtr

    true = success_among(mu, k)
    draws = rng.binomial(400, ndtr(mu / 2), 2000)
    held = np.mean([most_found(int(right), 400, k) >= true for right in draws])
    assert held >= 0.94


def test_how_many_guesses_a_limit_takes():
    needed = guesses_needed(0.10, 40)
    assert needed is not None
    assert most_found(needed // 2, needed, 40) <= 0.10 < most_found(needed // 4, needed // 2, 40)
    assert guesses_needed(0.026, 40, most=1000) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mu_of_success(1.2), "1.2"),
        (lambda: success_among(-1, 4), "-1"),
        (lambda: success_among(1, 1), "at least 2"),
        (lambda: guesses_needed(0.01, 40), "above chance"),
    ],
)
def test_impossible_numbers_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
