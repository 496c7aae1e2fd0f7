"""Coins over a share: the training records hold it, and nothing else is decided."""

import numpy as np
import pandas as pd
import pytest

from safelight.controls.coins.properties import PropertyCoins
from safelight.data.records import Records, Splits
from safelight.data.shares import most_with_shares, rows_with_share
from safelight.errors import InputError


@pytest.fixture(scope="module")
def splits():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"age": rng.integers(20, 80, 600), "smokes": rng.random(600) < 0.25})
    everyone = Records.of(x, np.arange(600) % 3)
    return Splits(everyone.take(np.arange(400)), everyone.take(np.arange(400, 600)))


def test_the_coin_decides_the_share_and_not_the_size(splits):
    coins, seen = PropertyCoins("smokes", True), set()
    size = most_with_shares(splits.everyone, "smokes", True, np.array([0.3, 0.5]))
    assert size == int((splits.everyone.x["smokes"]).sum() / 0.5) < 400
    for seed in range(12):
        draw = coins.flip(splits, np.random.default_rng(seed))
        assert len(draw.train) == len(np.unique(draw.train.ids)) == size
        assert draw.train.x["smokes"].sum() == round((0.3, 0.5)[draw.secret[0]] * size)
        assert (draw.question.column, draw.question.value) == ("smokes", True)
        seen.add(int(draw.secret[0]))
    assert seen == {0, 1}


def test_where_the_coin_decides_nothing_the_share_lies_half_way(splits):
    coins = PropertyCoins("smokes", True)
    trained = [coins.never_saw(splits, np.random.default_rng(seed)) for seed in range(12)]
    assert {int(draw.secret[0]) for draw in trained} == {0, 1}
    assert len({int(draw.train.x["smokes"].sum()) for draw in trained}) == 1
    assert abs(trained[0].train.x["smokes"].mean() - 0.4) < 0.01


def test_what_is_missing_is_said(splits):
    assert PropertyCoins("smokes", True).why_not(splits) == ""
    assert PropertyCoins("smokes", "?").why_not(splits) == (
        "shares of 0.3 and 0.5 of '?' in 'smokes' leave 0 of 600 records to train on, and at least 40 are needed"
    )
    assert PropertyCoins("smokes", True, 0.5, 0.3).why_not(splits) == (
        "of two shares the first must be the lower one, and they are 0.5 and 0.3"
    )


def test_draws_hold_every_class_or_it_is_said(splits):
    rng = np.random.default_rng(0)
    few = splits.members.relabelled((np.arange(400) < 12).astype(int))
    for _ in range(20):
        rows = rows_with_share(few, "smokes", True, 0.3, 40, rng)
        assert set(few.y[rows]) == {0, 1}
    with pytest.raises(InputError, match="100 draws of 2 from 400 records each lacked a class"):
        rows_with_share(splits.members, "smokes", True, 0.5, 2, rng)
    with pytest.raises(InputError, match="not enough of both kinds for 390 records"):
        rows_with_share(few, "smokes", True, 0.5, 390, rng)
