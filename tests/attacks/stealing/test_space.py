"""Made-up questions are records as the model takes them."""

import numpy as np
import pandas as pd
import pytest

from safelight.attacks.stealing.space import Space
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.targets.base import Images, Table


@pytest.fixture
def mixed():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "height": rng.normal(170, 10, 60),
        "rooms": rng.integers(1, 9, 60),
        "town": rng.choice(["north", "south", "west"], 60),
        "owner": rng.random(60) < 0.5,
        "kind": pd.Categorical(rng.choice(["a", "b"], 60)),
    })  # fmt: skip
    return Records.of(table, rng.integers(0, 2, 60))


def test_reading_and_making_records_are_inverse(mixed):
    space = Space.of(mixed, Table(tuple(mixed.x.columns)))
    made = space.records(space.rows)
    pd.testing.assert_frame_equal(made, mixed.x)
    assert space.words.tolist() == [False, False, True, True, True]
    assert space.whole.tolist() == [False, True, False, False, False]


def test_made_up_rows_have_legal_values(mixed):
    space, rng = Space.of(mixed, Table(tuple(mixed.x.columns))), np.random.default_rng(1)
    for rows in (space.drawn(200, rng), space.crossed(200, rng), space.rows * 3):
        made = space.records(np.where(space.words, np.clip(rows, space.low, space.high), rows))
        assert (made.dtypes == mixed.x.dtypes).all()
        for name in ("height", "rooms"):
            assert made[name].between(mixed.x[name].min(), mixed.x[name].max()).all()
        for name in ("town", "owner", "kind"):
            assert set(made[name]) <= set(mixed.x[name])


def test_crossed_rows_keep_most_of_a_public_record(mixed):
    space = Space.of(mixed, Table(tuple(mixed.x.columns)))
    rows = space.crossed(400, np.random.default_rng(0))
    heights = (rows[:, 0][:, None] == space.rows[:, 0]).any(axis=1)
    together = (rows[:, None, :2] == space.rows[None, :, :2]).all(axis=2).any(axis=1)
    assert heights.all()
    assert 0.55 < together.mean() < 0.9


def test_rare_values_come_as_often_as_others():
    table = pd.DataFrame({"rare": [1.0] + [0.0] * 49, "n": np.arange(50.0)})
    space = Space.of(Records.of(table, np.zeros(50, int)), Table(("rare", "n")))
    assert 0.4 < space.drawn(500, np.random.default_rng(0))[:, 0].mean() < 0.6


def test_pictures_use_the_range_that_the_model_takes(digits):
    space = Space.of(digits.take(np.arange(30)), Images((1, 8, 8)))
    made = space.records(space.drawn(100, np.random.default_rng(0)))
    assert made.shape == (100, 1, 8, 8)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert (made.std(axis=0) > 0).all(), "a pixel that all public pictures agree in gets any value"


def test_a_missing_number_and_an_unknown_word_are_read():
    table = pd.DataFrame({"a": [np.nan, *np.arange(29.0)], "w": ["x", "y"] * 15})
    space = Space.of(Records(table, np.zeros(30, int), np.arange(30)), Table(("a", "w")))
    read = space.read(pd.DataFrame({"a": [np.nan], "w": ["never seen"]}))
    assert space.features(read).tolist() == [[0.0, 0.0, 0.0]]


def test_it_needs_public_records(mixed):
    with pytest.raises(AccessDenied, match="name public data"):
        Space.of(None, Table(("a",)))
    with pytest.raises(InputError, match="at least 20 public records, and there are 3"):
        Space.of(mixed.take(np.arange(3)), Table(tuple(mixed.x.columns)))
