"""Which of two records was the last one: found by who rebuilds it, not where a third one is missing."""

import numpy as np
import pandas as pd
from scipy.stats import binom

from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.missing import MissingCoins, nearest
from safelight.data.records import Records, Splits
from safelight.evidence import Rebuilt


def trained_alone(draw):
    """Return the one record that is trained and not known: what a perfect attack rebuilds."""
    rows = ~np.isin(draw.train.ids, draw.question.known.ids)
    assert rows.sum() == 1
    left = draw.train.take(rows)
    x = left.x.to_numpy(float) if left.is_table else left.x.reshape(1, -1)
    return Rebuilt(x, left.y.astype(float))


def numbers_of(splits):
    members = splits.members.take(np.arange(60))
    return Splits(Records(members.x.drop(columns="insurer"), members.y, members.ids))


def total(coins, splits, flip, runs):
    found, rng = Guesses(0, 0, 0, 2), np.random.default_rng(0)
    for _ in range(runs):
        draw = getattr(coins, flip)(splits, rng)
        found = found + guess(draw.match(trained_alone(draw)), draw.secret, coins.share, rng)
    return found


def test_the_trained_candidate_is_told_by_its_record(patient_splits, digit_splits):
    for splits in (numbers_of(patient_splits), digit_splits):
        found = total(MissingCoins(), splits, "flip", 40)
        assert (found.right, found.coins) == (40, 40)


def test_a_third_missing_record_leaves_it_at_luck(patient_splits):
    found = total(MissingCoins(), numbers_of(patient_splits), "never_saw", 300)
    assert binom.ppf(1e-3, 300, 0.5) <= found.right <= binom.ppf(1 - 1e-3, 300, 0.5)


def test_both_worlds_train_and_know_equally_many(patient_splits):
    splits, rng = numbers_of(patient_splits), np.random.default_rng(1)
    draw = MissingCoins().flip(splits, rng)
    never = MissingCoins().never_saw(splits, rng)
    assert (len(draw.train), len(draw.question.known)) == (59, 58)
    assert (len(never.train), len(never.question.known)) == (58, 57)


def test_distances_are_in_deviations_of_the_known_records():
    known = Records.of(pd.DataFrame({"a": [0.0, 2.0], "b": [0.0, 20.0], "same": [7.0, 7.0]}), [0.0, 4.0])
    pair = Records.of(pd.DataFrame({"a": [1.0, 3.0], "b": [10.0, 10.0], "same": [7.0, 8.0]}), [1.0, 3.0])
    belief = nearest(known, pair)(Rebuilt(np.array([[1.0, 10.0, 7.0]]), np.array([1.0])))
    assert np.allclose(belief, [[0.0, -np.sqrt((4 + 0 + 1 + 1) / 4)]])


def test_a_class_is_right_or_one_off():
    known = Records.of(pd.DataFrame({"a": [0.0, 2.0]}), [0, 1])
    pair = Records.of(pd.DataFrame({"a": [1.0, 1.0]}), [5, 0])
    assert np.allclose(nearest(known, pair)(Rebuilt(np.array([[1.0]]), np.array([0.0]))), [[-np.sqrt(0.5), 0.0]])


def test_it_says_why_it_cannot(patient_splits):
    few = Splits(numbers_of(patient_splits).members.take(np.arange(8)))
    assert "at least 9 are needed, and there are 8" in MissingCoins().why_not(few)
    words = Records.of(pd.DataFrame({"ward": ["north"] * 20}), np.zeros(20, int))
    assert MissingCoins().why_not(Splits(words)) == "every column must be a number, and 'ward' is not"
    assert MissingCoins().why_not(numbers_of(patient_splits)) == ""
