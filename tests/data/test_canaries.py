"""Canaries: what each kind changes, and what it leaves as it was."""

import numpy as np
import pandas as pd
import pytest

from safelight.data.canaries import CanaryKind, canaries
from safelight.data.records import Records


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"age": rng.integers(20, 90, 60), "dose": rng.random(60), "ward": rng.choice(list("abc"), 60),
                      "smokes": rng.random(60) < 0.3})  # fmt: skip
    return Records.of(x, rng.integers(0, 3, 60), ids=np.arange(100, 160))


def test_a_mislabelled_canary_keeps_its_record_and_never_its_label(table):
    made = canaries(table, CanaryKind.MISLABELLED, np.random.default_rng(1))
    assert made.x.equals(table.x)
    assert (made.y != table.y).all()
    assert set(made.y) <= set(table.y)
    assert (made.ids == table.ids).all()


def test_a_single_class_or_a_regression_has_another_label_where_there_is_one():
    one = Records.of(np.zeros((3, 1, 2, 2)), np.zeros(3, dtype=int))
    assert (canaries(one, CanaryKind.MISLABELLED, np.random.default_rng(0)).y == 0).all()
    real = Records.of(np.zeros((3, 1, 2, 2)), np.array([0.5, 1.5, 2.5]))
    assert canaries(real, CanaryKind.MISLABELLED, np.random.default_rng(0)).y.tolist() == [2.5, 0.5, 1.5]


def test_a_blank_row_keeps_one_column_in_four(table):
    made = canaries(table, CanaryKind.BLANK, np.random.default_rng(1)).x
    typical = {"age": table.x.age.quantile(0.5, interpolation="lower"), "ward": table.x.ward.mode()[0]}
    assert (made.dtypes == table.x.dtypes).all()
    for column, value in typical.items():
        kept = made[column] != value
        assert 0 < kept.sum() < 30
        assert (made[column][kept] == table.x[column][kept]).all()


def test_a_blank_picture_has_one_grey_level_of_its_own(digits):
    made = canaries(digits.take(np.arange(50)), CanaryKind.BLANK, np.random.default_rng(1)).x
    levels = made.reshape(50, -1)
    assert (levels == levels[:, :1]).all()
    assert len(np.unique(levels[:, 0])) == 50
    assert levels.min() >= digits.x.min()
    assert levels.max() <= digits.x.max()


@pytest.mark.parametrize("kind", [CanaryKind.STRANGE])
def test_a_strange_record_has_values_that_occur_together_nowhere(kind, table, digits):
    made = canaries(table, kind, np.random.default_rng(1)).x
    for column in table.x.columns:
        assert sorted(made[column]) == sorted(table.x[column])
    assert len(made.merge(table.x)) < 3
    pictures = canaries(digits.take(np.arange(20)), kind, np.random.default_rng(1)).x.reshape(20, -1)
    assert (np.sort(pictures) == np.sort(digits.x[:20].reshape(20, -1))).all()
    assert not (pictures == digits.x[:20].reshape(20, -1)).all(axis=1).any()


def test_a_duplicated_canary_is_the_record_itself(table):
    assert canaries(table, CanaryKind.DUPLICATED, np.random.default_rng(1)) is table
