"""Which splits a given split is compared with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safelight.data.redraw import log_ways, shuffled


def test_without_persons_any_row_may_change_sides() -> None:
    member = np.arange(20) < 14
    drawn = shuffled(member, None, 400, np.random.default_rng(0))
    assert (drawn.sum(axis=0) == 14).all()
    assert abs(drawn.mean(axis=1) - 0.7).max() < 0.1


def test_whole_persons_change_sides() -> None:
    person = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
    member = person < 6
    drawn = shuffled(member, person, 200, np.random.default_rng(0))
    inside = np.array([drawn[person == one].mean(axis=0) for one in range(10)])
    assert set(np.unique(inside)) == {0.0, 1.0}
    assert (inside.sum(axis=0) == 6).all()
    assert (inside.min(axis=1) == 0).all()


def test_rows_change_sides_within_a_person_on_both() -> None:
    person = np.repeat([0, 1, 2, 3, 4], [4, 4, 1, 1, 2])
    member = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 1, 1], dtype=bool)
    drawn = shuffled(member, person, 200, np.random.default_rng(0))
    assert (drawn[person == 0].sum(axis=0) == 3).all()
    assert (drawn[person == 1].sum(axis=0) == 1).all()
    # persons 2 and 3, one row each, change places; person 4 is the only one with two rows
    assert (drawn[8] != drawn[9]).all()
    assert 50 < drawn[8].sum() < 150
    assert drawn[10:].all()


def test_counts_the_splits_it_draws_from() -> None:
    def ways(member: list[int], person: list[int] | None) -> float:
        return math.exp(log_ways(np.array(member, dtype=bool), None if person is None else np.array(person)))

    assert ways([1, 1, 0, 0], None) == pytest.approx(6)
    assert ways([1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 2, 2]) == pytest.approx(3)
    assert ways([1, 0, 1, 0, 0], [0, 0, 1, 1, 1]) == pytest.approx(2 * 3)
    # one person on both sides; of the others, only those with as many rows change places
    assert ways([1, 0, 1, 0, 1, 1], [0, 0, 1, 2, 3, 3]) == pytest.approx(2 * 2)
