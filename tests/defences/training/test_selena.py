"""Split models: each record is labelled by strangers alone, as a literal loop labels it, and membership falls."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from safelight.data.records import Records
from safelight.defences.training import selena
from safelight.defences.training.selena import Selena, left_out
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

FOREST = SklearnRecipe(RandomForestClassifier(5), Images((1, 8, 8)))


def test_each_record_leaves_out_as_many_models():
    without = left_out(500, 25, 10, np.random.default_rng(0))
    assert (without.sum(axis=1) == 10).all()
    assert without.sum(axis=0).min() > 150
    assert len(np.unique(without, axis=0)) > 400


def test_labels_come_from_strangers(noisy, monkeypatch):
    handed = {}
    monkeypatch.setattr(selena, "learn", lambda recipe, records, soft, seed: handed.setdefault("soft", soft))
    Selena(4, 2).fit(FOREST, noisy.members, 5)
    rng = np.random.default_rng([5, 43])
    without = left_out(len(noisy.members), 4, 2, rng)
    seeds = rng.integers(2**31, size=4)
    models = [FOREST.fit(noisy.members.take(~without[:, k]), int(seeds[k])).model for k in range(4)]
    for row in range(0, 200, 7):
        said = [models[k].scores(noisy.members.x[row : row + 1])[0] for k in range(4) if without[row, k]]
        assert handed["soft"][row] == pytest.approx((said[0] + said[1]) / 2)


def test_simple_membership_falls(plain, noisy, leak, plain_leak):
    assert (leak(Selena(4, 2)(plain), noisy) < plain_leak - 0.12).all()


def test_settings_that_leave_nothing_are_refused(noisy):
    with pytest.raises(InputError, match="leaves out 5 of 5 models; let left_out be from 1 to 4"):
        Selena(5, 5)(FOREST)
    with pytest.raises(InputError, match="hands on class scores"):
        Selena(3, 1)(FOREST).fit(Records.of(noisy.members.x, noisy.members.y / 2), 0)
