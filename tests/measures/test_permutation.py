"""Shuffles against every shuffle there is, and their level without a leak."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.permutation import (
    conformal_permutation_p,
    membership_permutation_p,
    rank_p,
    rank_permutation_p,
    shuffled,
)

VALUES = np.array([0.9, 0.1, 0.8, 0.4, 0.3, 0.7, 0.2, 0.6])
MEMBER = np.array([1, 0, 1, 1, 0, 0, 0, 1], dtype=bool)


def gap(side: np.ndarray, values: np.ndarray = VALUES) -> float:
    return values[side].mean() - values[~side].mean()


def close(p: float, literal: float, draws: int) -> bool:
    """Within four standard errors of the draws."""
    return abs(p - literal) <= 4 * np.sqrt(literal * (1 - literal) / draws) + 2 / draws


def test_rows_against_all_shuffles() -> None:
    sides = [np.isin(np.arange(8), chosen) for chosen in combinations(range(8), 4)]
    literal = np.mean([gap(side) >= gap(MEMBER) - 1e-12 for side in sides])
    p = membership_permutation_p(VALUES, MEMBER, np.random.default_rng(0), draws=20_000)
    assert close(p, literal, 20_000)


def test_whole_persons_against_all_shuffles() -> None:
    person = np.array([0, 1, 0, 2, 1, 3, 4, 2])
    sides = [np.isin(person, chosen) for chosen in combinations(range(5), 2)]
    literal = np.mean([gap(side) >= gap(MEMBER) - 1e-12 for side in sides])
    p = membership_permutation_p(VALUES, MEMBER, np.random.default_rng(0), groups=person, draws=20_000)
    assert close(p, literal, 20_000)


def test_inside_strata_against_all_shuffles() -> None:
    stratum = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    sides = [
        np.isin(np.arange(8), [*first, *second])
        for first in combinations(range(3), 2)
        for second in combinations(range(3, 8), 2)
    ]
    literal = np.mean([gap(side) >= gap(MEMBER) - 1e-12 for side in sides])
    p = membership_permutation_p(VALUES, MEMBER, np.random.default_rng(0), strata=stratum, draws=20_000)
    assert close(p, literal, 20_000)


def test_persons_on_both_sides_are_shuffled_among_their_own_rows() -> None:
    person = np.array([0, 0, 0, 1, 1, 2, 3, 4])
    member = np.array([1, 1, 0, 1, 1, 0, 0, 1], dtype=bool)
    sides = np.concatenate(list(shuffled(member, np.random.default_rng(0), person, None, 500)))
    assert (sides[:, :3].sum(axis=1) == 2).all()
    assert np.array_equal(sides[:, 3], sides[:, 4])
    assert ((sides[:, 3] + sides[:, 5] + sides[:, 6] + sides[:, 7]) == 2).all()
    assert len(np.unique(sides, axis=0)) == 3 * 6


def test_level_without_a_leak_even_when_persons_differ() -> None:
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(20), 5)
    by_row = by_person = 0
    for _ in range(300):
        values = np.repeat(rng.standard_normal(20), 5) + 0.2 * rng.standard_normal(100)
        member = np.repeat(rng.permutation(np.arange(20) < 10), 5)
        by_row += membership_permutation_p(values, member, rng, draws=99) <= 0.05
        by_person += membership_permutation_p(values, member, rng, groups=person, draws=99) <= 0.05
    assert by_person / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert by_row / 300 > 0.15


def test_a_planted_shift_is_found() -> None:
    rng = np.random.default_rng(0)
    member = np.arange(200) < 100
    values = rng.standard_normal(200) + 0.8 * member
    assert membership_permutation_p(values, member, rng) == 0.001
    assert membership_permutation_p(-values, member, rng) > 0.9


def test_equal_values_and_nothing_to_shuffle_give_one() -> None:
    rng = np.random.default_rng(0)
    assert membership_permutation_p(np.full(8, 0.1), MEMBER, rng) == 1.0
    assert membership_permutation_p(1e-200 * VALUES, MEMBER, np.random.default_rng(3)) == membership_permutation_p(
        VALUES, MEMBER, np.random.default_rng(3)
    )
    assert membership_permutation_p(VALUES, MEMBER, rng, strata=MEMBER) == 1.0


def test_same_seed_same_p() -> None:
    p = [membership_permutation_p(VALUES, MEMBER, np.random.default_rng(3)) for _ in range(2)]
    assert p[0] == p[1]


def test_rank_p_is_conformal() -> None:
    assert rank_p(np.array([0.9, 0.1, 0.5, 0.2]), 0) == 0.25
    assert rank_p(np.array([0.9, 0.1, 0.9, 0.2]), 0) == 0.5
    assert rank_p(np.array([-np.inf, -np.inf]), 1) == 1.0
    rng = np.random.default_rng(0)
    levels = np.array([rank_p(rng.standard_normal(10), 3) for _ in range(2000)])
    assert np.mean(levels <= 0.1) == pytest.approx(0.1, abs=0.03)


def literal_ranks(similarity: np.ndarray) -> np.ndarray:
    below = (similarity[:, None, :] < similarity[:, :, None]).sum(axis=2)
    equal = (similarity[:, None, :] == similarity[:, :, None]).sum(axis=2) - 1
    return below + equal / 2


def test_conformal_with_own_candidates_against_all_truths() -> None:
    similarity = np.random.default_rng(1).integers(0, 5, (4, 3)).astype(float)
    truth = np.array([2, 0, 1, 1])
    ranks, rows = literal_ranks(similarity), np.arange(4)
    observed = ranks[rows, truth].sum()
    literal = np.mean([ranks[rows, list(t)].sum() >= observed - 1e-9 for t in product(range(3), repeat=4)])
    p = conformal_permutation_p(similarity, truth, np.random.default_rng(0), shared=False, draws=20_000)
    assert close(p, literal, 20_000)


def test_conformal_with_shared_candidates_against_all_identities() -> None:
    similarity = np.random.default_rng(2).standard_normal((4, 5))
    truth = np.array([1, 3, 0, 4])
    ranks, rows = literal_ranks(similarity), np.arange(4)
    observed = ranks[rows, truth].sum()
    literal = np.mean([ranks[rows, np.array(t)[truth]].sum() >= observed - 1e-9 for t in permutations(range(5))])
    p = conformal_permutation_p(similarity, truth, np.random.default_rng(0), shared=True, draws=20_000)
    assert close(p, literal, 20_000)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_one_against_all_identities(ties: bool) -> None:
    rng = np.random.default_rng(3)
    similarity = rng.integers(0, 3, (6, 6)).astype(float) if ties else rng.standard_normal((6, 6)) + np.eye(6)
    rows, credit = np.arange(6), similarity == similarity.max(axis=1, keepdims=True)
    credit = credit / credit.sum(axis=1, keepdims=True)
    observed = np.trace(credit)
    literal = np.mean([credit[rows, list(t)].sum() >= observed - 1e-9 for t in permutations(range(6))])
    p = rank_permutation_p(similarity, np.random.default_rng(0), draws=20_000)
    assert close(p, literal, 20_000)


def test_rank_one_sees_a_planted_identity_and_no_other() -> None:
    rng = np.random.default_rng(0)
    assert rank_permutation_p(rng.standard_normal((40, 40)) + 3 * np.eye(40), rng) == 1e-4
    # One column that wins everywhere is no identity.
    popular = rng.standard_normal((40, 40))
    popular[:, 7] += 9
    assert rank_permutation_p(popular, rng) == 1.0
    assert rank_permutation_p(np.full((5, 5), -np.inf), rng) == 1.0


def test_rank_one_keeps_its_level() -> None:
    rng = np.random.default_rng(5)
    alarms = np.mean([rank_permutation_p(rng.standard_normal((20, 20)), rng, draws=199) <= 0.05 for _ in range(500)])
    assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: membership_permutation_p(np.array([1.0, np.inf]), np.array([True, False]), r), "finite"),
        (lambda r: membership_permutation_p(np.ones(3), np.ones(3, bool), r), "3 of 3 rows are members"),
        (
            lambda r: membership_permutation_p(VALUES, MEMBER, r, np.array([0, 1, 0, 2, 1, 3, 4, 2]), np.arange(8) % 3),
            "several strata",
        ),
        (lambda r: rank_permutation_p(np.ones((2, 3)), r), "each class with each"),
        (lambda r: rank_permutation_p(np.full((2, 2), np.nan), r), "4 NaN"),
        (lambda r: conformal_permutation_p(np.ones((2, 3)), np.array([0, 3]), r, False), "one of 3 candidates"),
        (lambda r: rank_p(np.array([]), 0), "1 dimensions"),
    ],
)
def test_impossible_input(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(np.random.default_rng(0))
