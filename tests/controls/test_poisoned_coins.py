"""Coins beside poison: the copies are always trained, the records as the coins say."""

import numpy as np
import pytest

from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.data.records import Records, Splits
from safelight.evidence import Scores


@pytest.fixture(scope="module")
def splits(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    return Splits(digits.take(order[:400]), digits.take(order[400:480]))


def counted(train: Records, record: Records, label: int) -> int:
    same = (train.x == record.x[0]).reshape(len(train), -1).all(axis=1)
    return int((same & (train.y == label)).sum())


def test_the_copies_are_always_trained_and_the_records_as_the_coins_say(splits):
    coins = PoisonedCoins(copies=3)
    flipped, never = (make(splits, np.random.default_rng(3)) for make in (coins.flip, coins.never_saw))
    question = flipped.question
    assert len(question.records) == 33, "copies are a quarter as many as the members"
    assert (question.wrong != question.records.y).all()
    assert question.records.digest == never.question.records.digest
    assert np.array_equal(question.wrong, never.question.wrong)
    records = [question.records.take([row]) for row in range(33)]
    own = np.array(
        [[counted(train, each, int(each.y[0])) for each in records] for train in (flipped.train, never.train)]
    )
    assert own.max() == 1
    assert own.sum(axis=1).tolist() == [flipped.secret.sum(), 0]
    for train in (flipped.train, never.train):
        assert [counted(train, each, int(wrong)) for each, wrong in zip(records, question.wrong)] == [3] * 33
    belief = flipped.match(Scores(own[0][:, None].astype(float)))
    sure = np.argsort(-np.abs(belief[:, 1]))[:16]
    assert (belief.argmax(1)[sure] == flipped.secret[sure]).all()


def test_wrong_labels_are_drawn_from_all_other_classes(splits):
    labels = [PoisonedCoins().flip(splits, np.random.default_rng(seed)).question for seed in range(12)]
    away = np.concatenate([(each.wrong - each.records.y) % 10 for each in labels])
    counts = np.bincount(away, minlength=10)
    assert counts[0] == 0
    assert counts[1:].min() > len(away) / 9 / 2


def test_the_number_of_targets_shrinks_with_copies_but_not_below_20(splits):
    assert [PoisonedCoins(copies=copies).count(splits) for copies in (0, 1, 4, 16)] == [100, 100, 25, 20]
    assert PoisonedCoins(copies=1, most=30).count(splits) == 30


def test_what_is_missing_is_said(splits):
    assert PoisonedCoins().why_not(splits) == ""
    few = Splits(splits.members.take(np.arange(30)))
    assert PoisonedCoins().why_not(few) == "coins over records need at least 20 of them and one run has 15"
    alike = Splits(splits.members.relabelled(np.zeros(400, dtype=int)))
    assert PoisonedCoins().why_not(alike) == "a wrong label needs a second class, and the members have one"
