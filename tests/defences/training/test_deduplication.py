"""Deduplication: who stays against a literal loop over Gower's distance, and what a twin gives away."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import Records, concat
from safelight.defences.training.deduplication import Deduplication, distinct
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

FOREST = SklearnRecipe(RandomForestClassifier(30), Images((1, 8, 8)))


def gower(table, one, other):
    parts = []
    for name in table.columns:
        a, b = table[name][one], table[name][other]
        if table[name].dtype.kind in "if":
            parts.append(abs(a - b) / (table[name].max() - table[name].min()))
        else:
            parts.append(float(str(a) != str(b)))
    return sum(parts) / len(parts)


def literal(table, y, near):
    kept = []
    for row in range(len(table)):
        if not any(y[row] == y[other] and gower(table, row, other) <= near + 1e-9 for other in kept):
            kept.append(row)
    return kept


@pytest.mark.parametrize("near", [0.0, 0.05, 0.2, 1.0])
def test_who_stays_is_who_is_near_nobody_that_stays(near):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"age": rng.integers(20, 26, 80), "town": rng.choice(["a", "b", "c"], 80), "owns": rng.random(80) < 0.5}
    )
    y = rng.integers(0, 2, 80)
    kept = distinct(Records.of(table, y), near)
    assert kept.tolist() == literal(table, y, near)
    assert len(kept) < 80


def test_pictures_that_differ_by_little_are_duplicates(digits):
    some = digits.take(np.arange(100))
    close = Records.of(np.clip(some.x[:30] + 0.01, 0, 1), some.y[:30], np.arange(100, 130))
    both = concat([some, close])
    assert distinct(both, 0.0).tolist() == list(range(130))
    assert distinct(both, 0.011).tolist() == list(range(100))


def test_without_duplicates_it_is_the_plain_model(digits):
    some = digits.take(np.arange(200))
    one, two = (recipe.fit(some, 0).model.scores(digits.x) for recipe in (FOREST, Deduplication()(FOREST)))
    np.testing.assert_array_equal(one, two)


def test_a_record_that_stands_there_many_times_is_no_longer_surer_than_others(noisy):
    first, rest = noisy.members.take(np.arange(40)), noisy.members.take(np.arange(40, 200))
    many = concat([first] * 6 + [rest])
    for seed in range(3):
        sure = {}
        for name, recipe in (("plain", FOREST), ("once", Deduplication()(FOREST))):
            scores = recipe.fit(many, seed).model.scores(noisy.members.x)
            odds = log_odds(scores, noisy.members.y, 1e-3)
            sure[name] = odds[:40].mean() - odds[40:].mean()
        assert sure["plain"] > 1.0
        assert abs(sure["once"]) < 0.5
