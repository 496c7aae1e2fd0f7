"""Coins over sets: a set is trained whole or not at all, and the question does not tell which."""

import numpy as np
import pytest

from safelight.controls.coins.sets import SetCoins
from safelight.data.records import Splits
from safelight.evidence import Scores


@pytest.fixture(scope="module")
def splits(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    return Splits(digits.take(order[:900]), digits.take(order[900:1000]))


def test_a_set_is_trained_whole_or_not_at_all(splits):
    draw = SetCoins().flip(splits, np.random.default_rng(1))
    trained = {row.tobytes() for row in draw.train.x}
    assert len(draw.secret) == 50
    for number, secret in enumerate(draw.secret):
        mine = draw.question.records.x[draw.question.owner == number]
        assert len(mine) == 10
        assert {row.tobytes() in trained for row in mine} == {bool(secret)}


def test_no_set_is_trained_where_nothing_can_leak(splits):
    draw = SetCoins().never_saw(splits, np.random.default_rng(1))
    trained = {row.tobytes() for row in draw.train.x}
    assert not any(row.tobytes() in trained for row in draw.question.records.x)


def test_a_weak_signal_in_each_record_adds_up(splits):
    rng = np.random.default_rng(2)
    draw = SetCoins(share=1.0).flip(splits, rng)
    inside = draw.secret[draw.question.owner]
    single = 0.5 * inside + rng.standard_normal(len(inside))
    belief = draw.match(Scores(single[:, None]))
    one = (single > np.median(single)) == inside
    assert (belief.argmax(1) == draw.secret).mean() > one.mean() + 0.08


def test_sets_shrink_with_the_data_and_too_few_records_are_said(splits):
    small = Splits(splits.members.take(np.arange(240)))
    assert SetCoins().count(small) == 40
    tiny = Splits(splits.members.take(np.arange(100)))
    assert SetCoins().why_not(tiny) == "coins over sets need 160 records to deal out, and there are 100"
