"""Coins: each hides a secret that a perfect attack finds and a blind one does not."""

import numpy as np
import pytest
from scipy.stats import binom

from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.classes import ClassCoins
from safelight.controls.coins.halves import HalfCoins
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Records, Splits
from safelight.evidence import Reconstructions, Scores

PICTURES = [ClassCoins(), ClassCoins(person=True), HalfCoins()]


def perfect(draw):
    """Return what an attack would answer that had the training data in hand."""
    if hasattr(draw.question, "classes"):
        classes = draw.question.classes
        return Reconstructions(
            np.stack([draw.train.x[draw.train.y == c].mean(0) for c in classes]), classes, np.ones(len(classes))
        )
    asked = draw.question.records
    if hasattr(draw.question, "column"):
        column = draw.train.x.set_index(draw.train.ids)[draw.question.column].to_dict()
        held = np.array([column[i] for i in asked.ids])
        return Scores((held[:, None] == draw.question.values[None]).astype(float))
    return Scores(np.isin(asked.ids, draw.train.ids)[:, None].astype(float))


@pytest.fixture
def named(patient_splits):
    return patient_splits


@pytest.mark.parametrize("coins", PICTURES, ids=lambda coins: coins.name)
def test_picture_coins_are_found_by_who_saw_the_training_data(coins, digit_splits):
    rng = np.random.default_rng(0)
    draw = coins.flip(digit_splits, rng)
    total = guess(draw.match(perfect(draw)), draw.secret, coins.share, rng)
    assert (total.right, total.coins) == (coins.count(digit_splits), coins.count(digit_splits))


@pytest.mark.parametrize("coins", [RecordCoins(), AttributeCoins("insurer")], ids=lambda coins: coins.name)
def test_table_coins_are_found_by_who_saw_the_training_data(coins, named):
    rng = np.random.default_rng(0)
    draw = coins.flip(named, rng)
    total = guess(draw.match(perfect(draw)), draw.secret, coins.share, rng)
    assert total.right == total.guesses == round(coins.share * coins.count(named))


@pytest.mark.parametrize("coins", PICTURES, ids=lambda coins: coins.name)
def test_no_candidate_is_trained_where_nothing_can_leak(coins, digit_splits):
    rng = np.random.default_rng(1)
    right = guesses = 0
    for _ in range(60):
        draw = coins.never_saw(digit_splits, rng)
        total = guess(draw.match(perfect(draw)), draw.secret, coins.share, rng)
        right, guesses = right + total.right, guesses + total.guesses
    assert 0.001 < binom.cdf(right, guesses, 0.5) < 0.999


def test_never_saw_trains_on_none_of_the_asked_records(named):
    rng = np.random.default_rng(2)
    for coins in (RecordCoins(), AttributeCoins("insurer")):
        draw = coins.never_saw(named, rng)
        assert not np.isin(draw.question.records.ids, draw.train.ids).any()


def test_class_coins_give_every_slot_one_candidate_and_all_of_its_photos(digit_splits):
    draw = ClassCoins().flip(digit_splits, np.random.default_rng(3))
    assert set(draw.train.y) == set(range(5))
    members = digit_splits.members
    for slot in range(5):
        old = set(members.y[np.isin(members.ids, draw.train.ids[draw.train.y == slot])])
        assert len(old) == 1
        assert (members.y == old.pop()).sum() == (draw.train.y == slot).sum()


def test_record_coins_keep_the_other_members_and_flip_about_half(named):
    coins = RecordCoins()
    draw = coins.flip(named, np.random.default_rng(4))
    inside = np.isin(draw.question.records.ids, draw.train.ids)
    assert inside.sum() == draw.secret.sum()
    assert 0.35 < draw.secret.mean() < 0.65
    others = np.setdiff1d(named.members.ids, draw.question.records.ids)
    assert np.isin(others, draw.train.ids).all()
    assert not np.isin(np.setdiff1d(named.nonmembers.ids, draw.question.records.ids), draw.train.ids).any()


def test_a_person_goes_in_whole_or_not_at_all(patients):
    people = Records(patients.x, patients.y, patients.ids, np.arange(len(patients)) // 5)
    draw = RecordCoins(person=True).flip(Splits(people), np.random.default_rng(5))
    inside = np.isin(draw.question.records.ids, draw.train.ids)
    for person in np.unique(draw.question.records.person):
        assert len(set(inside[draw.question.records.person == person])) == 1
    answer = Scores(inside[:, None].astype(float))
    found = guess(draw.match(answer), draw.secret, 0.5, np.random.default_rng(0))
    assert found.right == found.guesses == round(0.5 * len(draw.secret))


def test_half_of_a_large_tie_is_guessed_in(patient_splits):
    draw = RecordCoins().flip(patient_splits, np.random.default_rng(7))
    belief = draw.match(Scores(np.ones((len(draw.question.records), 1))))
    assert abs((belief.argmax(1) == 1).mean() - 0.5) < 0.01


def test_attribute_coins_change_the_chosen_rows_alone_and_blank_the_question(named):
    coins = AttributeCoins("insurer")
    draw = coins.flip(named, np.random.default_rng(6))
    asked = draw.question.records
    assert asked.x["insurer"].nunique() == 1
    assert len(asked) == coins.count(named) == 75
    before = named.members.x["insurer"].astype(str).to_numpy()
    after = draw.train.x["insurer"].astype(str).to_numpy()
    assert not (before != after)[~np.isin(named.members.ids, asked.ids)].any()
    assert draw.train.x["insurer"].dtype == named.members.x["insurer"].dtype


@pytest.mark.parametrize(
    ("coins", "message"),
    [
        (ClassCoins(), "at least 4 classes and there are 3"),
        (HalfCoins(), "6 records in every class and one class has 2"),
        (RecordCoins(), "at least 20 of them and one run has 3"),
    ],
)
def test_too_little_data_is_said(coins, message, digits):
    rows = np.concatenate([np.flatnonzero(digits.y == c)[:2] for c in range(3)])
    assert message in coins.why_not(Splits(digits.take(rows)))


def test_attribute_coins_need_a_column_with_few_values(named):
    assert "2 to 20 different values" in AttributeCoins("mean area").why_not(named)
    assert AttributeCoins("insurer").why_not(named) == ""


def test_guesses_are_the_surest_and_ties_are_luck():
    belief = np.array([[0.9, 0.0], [0.5, 0.4], [0.0, 0.8], [0.1, 0.1]])
    secret = np.array([0, 1, 1, 0])
    assert guess(belief, secret, 0.5, np.random.default_rng(0)) == Guesses(4, 2, 2, 2)
    ties = [guess(np.zeros((100, 2)), np.zeros(100, int), 1.0, np.random.default_rng(i)).right for i in range(50)]
    assert 45 < np.mean(ties) < 55
    assert Guesses(4, 2, 2, 2) + Guesses(4, 2, 1, 2) == Guesses(8, 4, 3, 2)
