from itertools import permutations

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.table_error import chance_error, table_error


def literal(rebuilt, truth):
    """Try every order of the rows and count wrong cells."""
    return min(
        sum(a != b for row, place in zip(rebuilt, order) for a, b in zip(row, truth[place]))
        for order in permutations(range(len(truth)))
    ) / (len(truth) * len(truth[0]))  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_the_matching_is_the_best_of_all_orders(seed):
    rng = np.random.default_rng(seed)
    rebuilt, truth = rng.integers(0, 3, (2, 6, 4))
    assert table_error(rebuilt, truth) == pytest.approx(literal(rebuilt.tolist(), truth.tolist()))


def test_a_shuffled_table_is_right_and_one_wrong_cell_counts_once():
    truth = np.arange(12).reshape(4, 3)
    shuffled = truth[[2, 0, 3, 1]]
    assert table_error(shuffled, truth) == 0
    shuffled[1, 2] = 99
    assert table_error(shuffled, truth) == pytest.approx(1 / 12)


def test_chance_is_one_half_for_a_single_fair_coin_and_nothing_for_a_constant():
    """Of 400 coins drawn twice, all but the difference of the two counts can be matched."""
    rng = np.random.default_rng(0)
    public, truth = rng.integers(0, 2, (2000, 1)), np.repeat([[0], [1]], 200, axis=0)
    counts = np.random.default_rng(1).binomial(400, public.mean(), 2000)
    assert chance_error(public, truth, rng, 200) == pytest.approx(np.abs(counts - 200).mean() / 400, rel=0.2)
    assert chance_error(np.zeros((5, 2)), np.zeros((3, 2)), rng) == 0


def test_columns_are_drawn_apart_from_each_other():
    """Two equal columns would come out equal if whole rows were drawn."""
    public = np.repeat(np.random.default_rng(0).integers(0, 2, (500, 1)), 2, axis=1)
    truth = public[:200]
    assert chance_error(public, truth, np.random.default_rng(1)) > 0.15


def test_tables_of_different_shapes_are_refused():
    with pytest.raises(InputError, match=r"shape \(2, 3\) cannot be matched with one of shape \(3, 3\)"):
        table_error(np.zeros((2, 3)), np.zeros((3, 3)))
