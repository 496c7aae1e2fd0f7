"""Right links against all ways to deal out who is who, and beside literal counts."""

import itertools

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.named import equality_credit, links_p, precision_at


@pytest.mark.parametrize(
    "linked",
    [list("abcde"), list("abced"), list("aaaaa"), list("xxaax"), list("edcba")],
)
def test_the_p_is_the_share_of_all_deals_with_as_many_right_links(linked):
    person = np.array(list("abcde"))
    observed = sum(a == b for a, b in zip(linked, person))
    deals = list(itertools.permutations(person))
    exact = np.mean([sum(a == b for a, b in zip(linked, deal)) >= observed for deal in deals])
    found = links_p(np.array(linked), person, np.random.default_rng(0), draws=40_000)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 40_000))


def test_links_that_say_nothing_give_uniform_ps():
    rng = np.random.default_rng(1)
    ps = [links_p(rng.integers(0, 60, 40), np.arange(40), rng, draws=199) for _ in range(400)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(ps) <= level) <= level + 3 * np.sqrt(level * (1 - level) / 400)


def test_the_p_reaches_its_floor_and_names_may_be_words():
    people = np.array([f"p{i}" for i in range(50)])
    assert links_p(people, people, np.random.default_rng(0), draws=999) == 1 / 1000
    with pytest.raises(InputError, match="Each person needs one link"):
        links_p(people[:3], people, np.random.default_rng(0))


def test_drawing_among_equal_rows_is_right_once_a_group():
    rng = np.random.default_rng(2)
    combination = rng.integers(0, 8, 30)
    released, owner = rng.integers(0, 8, 40), rng.integers(0, 30, 40)
    credit = equality_credit(combination, np.arange(30), released, owner)
    for person, value in enumerate(credit):
        equal = [row for row in range(40) if released[row] == combination[person]]
        literal = sum(owner[row] == person for row in equal) / len(equal) if equal else 0.0
        assert value == pytest.approx(literal)
    assert equality_credit(np.array([9]), np.array([0]), released, owner).tolist() == [0.0]


def test_precision_counts_the_surest_and_what_ties_with_the_last_of_them():
    score, right = np.array([3.0, 2.0, 2.0, 1.0, 0.0, -1.0]), np.array([True, False, True, True, False, False])
    assert precision_at(score, right, 0.1) == (1, 1)
    assert precision_at(score, right, 1 / 3) == (2, 3)
    assert precision_at(score, right, 1.0) == (3, 6)
    with pytest.raises(InputError, match="use a share in"):
        precision_at(score, right, 0.0)
