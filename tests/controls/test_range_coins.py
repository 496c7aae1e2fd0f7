"""Coins over ranges: the picture is trained or not, and only a moved copy of it is asked about."""

import numpy as np
import pandas as pd
import pytest

from safelight.controls.coins.ranges import RangeCoins
from safelight.data.records import Records, Splits
from safelight.data.shifts import shifted, shifts
from safelight.evidence import Scores


@pytest.fixture(scope="module")
def splits(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    return Splits(digits.take(order[:300]), digits.take(order[300:400]))


def trained_within(draw) -> np.ndarray:
    """Return for each asked copy whether a trained picture is in its range."""
    trained = {row.tobytes() for row in draw.train.x}
    asked = draw.question.records
    views = [shifted(asked, np.tile(way, (len(asked), 1))).x for way in shifts(draw.question.reach)]
    return np.array([[row.tobytes() in trained for row in view] for view in views]).any(axis=0)


@pytest.mark.parametrize("reach", [1, 2])
def test_a_trained_picture_is_in_the_range_of_its_copy_and_no_other_is(splits, reach):
    draw = RangeCoins(reach).flip(splits, np.random.default_rng(1))
    assert draw.question.reach == reach
    assert len(draw.secret) == 200
    inside = trained_within(draw)
    # The matcher knows which coin a copy is about: a score that is right makes every guess right.
    belief = draw.match(Scores(inside[:, None].astype(float)))
    ranks = belief[:, 1]
    assert ranks[draw.secret == 1].min() > ranks[draw.secret == 0].max()
    assert inside.sum() == draw.secret.sum()


def test_no_copy_is_a_picture_itself(splits):
    draw = RangeCoins().flip(splits, np.random.default_rng(1))
    everyone = {row.tobytes() for row in splits.everyone.x}
    assert not any(row.tobytes() in everyone for row in draw.question.records.x)


def test_nothing_in_a_range_is_trained_where_nothing_can_leak(splits):
    assert not trained_within(RangeCoins().never_saw(splits, np.random.default_rng(1))).any()


def test_tables_and_too_few_pictures_are_said(splits):
    tiny = Splits(splits.members.take(np.arange(30)))
    assert RangeCoins().why_not(tiny) == "coins over records need at least 20 of them and one run has 15"
    assert not RangeCoins().why_not(splits)
    table = Splits(Records.of(pd.DataFrame({"age": range(90)}), np.arange(90) % 2))
    assert RangeCoins().why_not(table) == "rows of a table cannot be moved by pixels"
