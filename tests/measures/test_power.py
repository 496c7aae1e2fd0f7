"""What an audit could have seen: the published table, literal searches and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom, binom, norm

from safelight.errors import InputError
from safelight.measures.power import coins_needed, critical, mu_ceiling, power, success_detectable, tpr_power

TABLE = [
    # coins, right guesses needed, ceiling of mu for 2 and for 10 candidates, success found in 80 %
    (10, 9, 0.678, 1.567, 0.917),
    (20, 15, 1.070, 1.845, 0.799),
    (50, 32, 1.460, 2.139, 0.685),
    (100, 59, 1.703, 2.334, 0.626),
    (200, 113, 1.921, 2.514, 0.592),
    (500, 269, 2.183, 2.737, 0.556),
    (1000, 527, 2.368, 2.897, 0.540),
]


@pytest.mark.parametrize(("coins", "needed", "two", "ten", "success"), TABLE)
def test_published_power_table(coins: int, needed: int, two: float, ten: float, success: float) -> None:
    assert critical(coins, 2, 0.05) == needed
    assert mu_ceiling(coins, coins, 2) == pytest.approx(two, abs=5.1e-4)
    assert mu_ceiling(coins, coins, 10) == pytest.approx(ten, abs=5.1e-4)
    found = success_detectable(coins, 2, 0.05)
    assert found == pytest.approx(success, abs=5e-4)
    assert power(coins, found, 2, 0.05) == pytest.approx(0.8, abs=1e-9)


@pytest.mark.parametrize("candidates", [2, 5])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0005])
def test_critical_is_the_first_significant_count(candidates: int, alpha: float) -> None:
    for coins in range(60):
        tails = [binom.sf(c - 1, coins, 1 / candidates) for c in range(coins + 1)]
        first = next((c for c, p in enumerate(tails) if p <= alpha), None)
        assert critical(coins, candidates, alpha) == first


def test_too_few_coins_have_no_power() -> None:
    assert critical(4, 2, 0.05) is None
    assert power(4, 1.0, 2, 0.05) == 0.0
    assert success_detectable(4, 2, 0.05) is None


@pytest.mark.parametrize(("success", "alpha", "candidates"), [(0.75, 0.01, 2), (0.9, 0.05, 2), (0.4, 0.01, 5)])
def test_coins_needed_holds_from_there_on(success: float, alpha: float, candidates: int) -> None:
    needed = coins_needed(success, candidates, alpha)
    assert needed is not None
    powers = [power(n, success, candidates, alpha) for n in range(1, 4 * needed)]
    last_failing = max(n for n, reached in enumerate(powers, start=1) if reached < 0.8)
    assert needed == last_failing + 1


def test_coins_needed_gives_up_at_chance() -> None:
    assert coins_needed(0.5, 2, 0.05) is None
    assert coins_needed(0.501, 2, 0.05) is None
    assert coins_needed(0.6, 2, 0.05, most=100) is None
    assert coins_needed(0.75, 2, 0.01) == 42


def test_tpr_power_is_what_simulation_finds() -> None:
    rng, members, nonmembers, fpr, tpr = np.random.default_rng(0), 300, 200, 0.05, 0.12
    shift = norm.ppf(tpr) - norm.ppf(fpr)
    inside = rng.standard_normal((3000, members)) + shift
    threshold = np.sort(rng.standard_normal((3000, nonmembers)), axis=1)[:, -11]
    count = (inside > threshold[:, None]).sum(axis=1)
    found = np.mean(betabinom.sf(count - 1, members, 11, nonmembers - 10) <= 0.05)
    assert tpr_power(members, nonmembers, fpr, tpr, 0.05) == pytest.approx(found, abs=0.03)


def test_tpr_power_at_the_ends() -> None:
    assert tpr_power(1000, 50, 0.01, 0.5, 0.05) == 0.0
    assert tpr_power(1, 200, 0.01, 0.9, 0.0001) == 0.0
    assert tpr_power(1000, 1000, 0.01, 0.05, 0.01) > 0.8


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: critical(-1, 2, 0.05), "coins must be at least 0"),
        (lambda: critical(10, 1, 0.05), "at least 2 candidates"),
        (lambda: critical(10, 2, 0.0), "alpha must lie between 0 and 1"),
        (lambda: success_detectable(10, 2, 0.05, 1.0), "power must lie between 0 and 1"),
        (lambda: coins_needed(1.5, 2, 0.05), "success must be a probability"),
        (lambda: tpr_power(0, 10, 0.1, 0.5, 0.05), "0 members and 10 nonmembers"),
        (lambda: tpr_power(10, 10, 1.0, 0.5, 0.05), "fpr must lie between 0 and 1"),
    ],
)
def test_impossible_arguments(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
