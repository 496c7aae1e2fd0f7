"""k-anonymity, k-map and l-diversity beside their literal definitions."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.errors import InputError
from safelight.measures.uniqueness import diversity, group_sizes, population_sizes, uniqueness

COLUMNS = ["age", "town"]
ROWS = st.lists(
    st.tuples(st.sampled_from([20.0, 30.0, math.nan]), st.sampled_from(["A", "B"]), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


def table(rows):
    return pd.DataFrame(rows, columns=[*COLUMNS, "illness"])


def same(one, other):
    return all(a == b or (a != a and b != b) for a, b in zip(one, other))


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS)
def test_every_count_is_the_literal_one(rows, people):
    released, population = table(rows), table(people)
    own = [sum(same(row[:2], other[:2]) for other in rows) for row in rows]
    everyone = [sum(same(row[:2], other[:2]) for other in people) for row in rows]
    values = [len({other[2] for other in rows if same(row[:2], other[:2])}) for row in rows]
    assert group_sizes(released, COLUMNS).tolist() == own
    assert population_sizes(released, population, COLUMNS).tolist() == everyone
    assert diversity(released, COLUMNS, "illness").tolist() == values
    found = uniqueness(released, COLUMNS, population, ["illness"])
    assert (found.k, found.alone) == (min(own), own.count(1))
    assert (found.k_map, found.alone_in_population) == (min(everyone), everyone.count(1))
    assert found.l_diversity == {"illness": min(values)}
    assert found.groups == sum(
        not any(same(row[:2], earlier[:2]) for earlier in rows[:i]) for i, row in enumerate(rows)
    )


def test_the_order_of_rows_and_their_index_do_not_matter():
    released = table([(20.0, "A", 0), (20.0, "B", 1), (20.0, "A", 2), (30.0, "A", 0)])
    turned = released.iloc[::-1]
    assert group_sizes(turned, COLUMNS).tolist() == group_sizes(released, COLUMNS)[::-1].tolist() == [1, 2, 1, 2]


def test_numbers_equal_numbers_and_words_are_taken_as_they_stand():
    whole, real = pd.DataFrame({"age": [1, 2]}), pd.DataFrame({"age": [1.0, 1.0]})
    assert population_sizes(whole, real, ["age"]).tolist() == [2, 0]
    words = pd.DataFrame({"town": ["A", "a", "A "]})
    assert group_sizes(words, ["town"]).tolist() == [1, 1, 1]


def test_a_large_table_is_counted_in_a_moment():
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"a": rng.integers(0, 50, 200_000), "b": rng.integers(0, 50, 200_000)})
    assert uniqueness(people, ["a", "b"]).groups == 2500


def test_what_cannot_be_counted_is_refused_in_one_sentence():
    released = table([(20.0, "A", 0)])
    with pytest.raises(InputError, match=r"A table has no column 'twn'; its columns are .* Did you mean 'town'\?"):
        uniqueness(released, ["twn"])
    with pytest.raises(InputError, match="no column to compare records by"):
        uniqueness(released, [])
    with pytest.raises(InputError, match="holds no rows"):
        uniqueness(released.iloc[:0], COLUMNS)
    with pytest.raises(InputError, match="has no column 'town'"):
        uniqueness(released, COLUMNS, released[["age"]])
