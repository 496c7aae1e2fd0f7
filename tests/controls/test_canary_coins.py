"""Coins over canaries: what is trained follows the coins, what is asked does not."""

import numpy as np
import pytest

from safelight.controls.coins.canaries import CanaryCoins
from safelight.data.canaries import CanaryKind
from safelight.data.records import Records, Splits
from safelight.evidence import Scores


@pytest.fixture(scope="module")
def splits(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    return Splits(digits.take(order[:400]), digits.take(order[400:480]))


def counted(train: Records, record: Records) -> int:
    same = (train.x == record.x[0]).reshape(len(train), -1).all(axis=1) & (train.y == record.y[0])
    return int(same.sum())


def test_trained_canaries_are_those_of_the_coins_and_duplicates_come_several_times(splits):
    draw = CanaryCoins().flip(splits, np.random.default_rng(3))
    asked = draw.question.records
    assert len(asked) == 60
    assert sorted(np.unique(draw.group, return_counts=True)[1]) == [15, 15, 15, 15]
    for row, (secret, kind) in enumerate(zip(draw.secret, draw.group)):
        times = 4 if kind == CanaryKind.DUPLICATED.value else 1
        assert counted(draw.train, asked.take([row])) == secret * times


def test_the_question_is_the_same_whatever_the_coins(splits):
    coins = CanaryCoins()
    flipped, never = (make(splits, np.random.default_rng(3)) for make in (coins.flip, coins.never_saw))
    assert flipped.question.records.digest == never.question.records.digest
    for row in range(0, 60, 7):
        assert counted(never.train, never.question.records.take([row])) == 0


def test_a_perfect_score_is_right_on_every_sure_guess(splits):
    draw = CanaryCoins().flip(splits, np.random.default_rng(5))
    belief = draw.match(Scores(draw.secret[:, None].astype(float)))
    sure = np.argsort(-np.abs(belief[:, 1]))[:15]
    assert (belief.argmax(1)[sure] == draw.secret[sure]).all()


def test_too_few_records_are_said(splits):
    few = Splits(splits.members.take(np.arange(100)))
    assert CanaryCoins().why_not(few) == "canaries of 4 kinds need 160 records, of 100"
    assert CanaryCoins().why_not(splits) == ""
