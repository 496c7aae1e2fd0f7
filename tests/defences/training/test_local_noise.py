"""Local noise: chances against the definition, how epsilon is shared, and what stays as it was."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.ensemble import RandomForestClassifier

from safelight.data.records import Records
from safelight.defences.training.local_noise import LocalNoise, reported, stays
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

FOREST = SklearnRecipe(RandomForestClassifier(30), Images((1, 8, 8)))


@dataclass(frozen=True)
class Looks:
    """A recipe that remembers what it was given."""

    given: list = field(default_factory=list)
    key: str = "looks"

    def fit(self, records, seed):
        self.given.append(records)
        return FOREST.fit(Records.of(np.zeros((4, 1, 8, 8)), [0, 1, 0, 1]), 0)


@pytest.mark.parametrize(("epsilon", "possible"), [(0.5, 2), (2.0, 10), (20.0, 3)])
def test_no_report_tells_two_values_apart_by_more_than_epsilon(epsilon, possible):
    kept = stays(epsilon, possible)
    other = (1 - kept) / (possible - 1)
    assert kept / other == pytest.approx(math.exp(epsilon))
    assert kept == pytest.approx(math.exp(epsilon) / (math.exp(epsilon) + possible - 1))


def test_reports_come_with_these_chances():
    values = np.full(40_000, 2)
    said = np.bincount(reported(values, 4, 1.5, np.random.default_rng(0)), minlength=4)
    for value, count in enumerate(said):
        chance = stays(1.5, 4) if value == 2 else (1 - stays(1.5, 4)) / 3
        low, high = binom.ppf([0.0005, 0.9995], 40_000, chance)
        assert low <= count <= high, value


def test_epsilon_is_shared_by_all_that_is_reported(patients):
    wide = type(patients)(
        patients.x.loc[np.arange(5000) % len(patients)], patients.y[np.arange(5000) % 569], np.arange(5000)
    )
    looks = Looks()
    LocalNoise(epsilon=2.0, columns=("insurer",))(looks).fit(wide, 0)
    given = looks.given[0]
    for kept in ((given.y == wide.y).mean(), (given.x["insurer"].to_numpy() == wide.x["insurer"].to_numpy()).mean()):
        assert kept == pytest.approx(stays(1.0, 2), abs=0.02)
    assert given.x["insurer"].dtype == wide.x["insurer"].dtype
    assert given.x["mean area"].equals(wide.x["mean area"])


def test_a_huge_epsilon_is_the_plain_model(digits):
    some = digits.take(np.arange(300))
    one, two = (recipe.fit(some, 0).model.scores(digits.x) for recipe in (FOREST, LocalNoise(60.0)(FOREST)))
    np.testing.assert_array_equal(one, two)


def test_true_labels_are_learnt_by_heart_no_longer(noisy):
    wrong = noisy.members.y != FOREST.fit(noisy.public, 0).model.labels(noisy.members.x)
    for seed in range(3):
        right = {}
        for name, recipe in (("plain", FOREST), ("noise", LocalNoise(1.0)(FOREST))):
            labels = recipe.fit(noisy.members, seed).model.labels(noisy.members.x)
            right[name] = (labels == noisy.members.y)[wrong].mean()
        assert right["noise"] < right["plain"] - 0.4


def test_a_class_that_nobody_reported_stays_a_class(digits):
    for seed in range(20):
        target = LocalNoise(0.01)(FOREST).fit(digits.take(np.arange(10)), seed)
        assert target.model.scores(digits.x[:5]).shape == (5, 10)


def test_the_promise_says_what_it_covers():
    promise = LocalNoise(3.0, columns=("town",)).guarantee(FOREST, 100)
    assert (promise.epsilon, promise.delta, promise.adjacency) == (3.0, 0.0, "replace")
    assert "its class, town before training; the rest of a record is not covered" in promise.how


def test_noise_follows_the_seed_only_where_it_should(digits):
    some = digits.take(np.arange(100))
    same, fresh = Looks(), Looks()
    for _ in range(2):
        LocalNoise(1.0)(same).fit(some, 4)
        LocalNoise(1.0, repeatable=False)(fresh).fit(some, 4)
    assert np.array_equal(same.given[0].y, same.given[1].y)
    assert not np.array_equal(fresh.given[0].y, fresh.given[1].y)


def test_what_it_cannot_work_with_is_said(patients, digits):
    with pytest.raises(InputError, match="reports no value by chance; set labels"):
        LocalNoise(labels=False)(FOREST)
    with pytest.raises(InputError, match="'mean area' is a column of numbers; make it words first"):
        LocalNoise(columns=("mean area",))(Looks()).fit(patients, 0)
    with pytest.raises(InputError, match="these answers are real numbers; set labels = false"):
        LocalNoise()(FOREST).fit(Records.of(digits.x, digits.y / 2), 0)
    with pytest.raises(InputError, match="epsilon is 0; it must be above 0"):
        LocalNoise(0)
