"""Prediction sets and abstention: coverage, what leaves the server, and what it still tells."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from safelight.data.records import Records
from safelight.defences.outputs.abstention import Abstention
from safelight.defences.outputs.sets import PredictionSets, Sets, quantile
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import ThreatModel

LINEAR = SklearnRecipe(LogisticRegression(C=0.02, max_iter=300), Images((1, 8, 8)))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.3])
def test_the_sets_cover_the_true_class_as_often_as_promised(digits, alpha):
    rates, forced, sizes = [], [], []
    order = np.random.default_rng(0).permutation(len(digits))
    target, rest = LINEAR.fit(digits.take(order[:200]), 0), digits.take(order[200:])
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(len(rest))
        hardened = PredictionSets(alpha, rest.take(rows[:300]))(target)
        asked = rest.take(rows[300:])
        inside = hardened.view(ThreatModel()).scores(asked.x) > 0
        rates.append(inside[np.arange(len(asked)), asked.y].mean())
        true = target.model.scores(asked.x)[np.arange(len(asked)), asked.y]
        forced.append(
            rates[-1] - (true >= hardened.model.defence.least).mean()
        )  # the predicted class is never left out
        sizes.append(inside.sum(axis=1).mean())
    assert np.mean(rates) > 1 - alpha - 0.01
    assert abs(np.mean(rates) - np.mean(forced) - (1 - alpha)) < 0.01
    assert 1 <= np.mean(sizes) < 5


@pytest.mark.parametrize(("n", "alpha"), [(9, 0.1), (19, 0.1), (50, 0.25), (7, 0.3)])
def test_the_threshold_is_that_of_split_conformal_prediction(n, alpha):
    sure = np.random.default_rng(n).random(n)
    missing = sorted(1 - value for value in sure)
    rank = next(k for k in range(1, n + 1) if k / (n + 1) >= 1 - alpha - 1e-12)
    assert 1 - quantile(sure, alpha) == pytest.approx(missing[rank - 1])


def test_the_answer_is_a_set_and_the_predicted_class_is_in_it():
    scores = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.34, 0.33, 0.33]])
    sets = Sets(0.3).harden(scores, np.zeros(3, np.uint64))
    np.testing.assert_allclose(sets, [[0.5, 0.5, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert Sets(0.95).harden(scores, np.zeros(3, np.uint64)).argmax(axis=1).tolist() == [0, 0, 0]
    assert (Sets(0.95).harden(scores, np.zeros(3, np.uint64)) > 0).sum() == 3


def test_sets_and_silence_still_tell_members(learnt):
    """They hide how sure the model is of each class, not whether it is sure at all."""
    plain, sets, silent = [], [], []
    for target in learnt.targets:
        x = learnt.everyone.x
        plain.append(learnt.auc(target.model.scores(x)))
        sets.append(learnt.auc(PredictionSets(public=learnt.splits.public)(target).model.scores(x)))
        silent.append(learnt.auc(Abstention()(target).model.scores(x)))
    assert np.mean(plain) > 0.55
    assert np.mean(sets) > 0.54
    assert np.mean(silent) > 0.52


def test_an_unsure_answer_says_nothing_and_a_sure_one_its_class(learnt):
    target, x = learnt.targets[0], learnt.everyone.x
    scores, silent = target.model.scores(x), Abstention(0.8)(target).model
    unsure = scores.max(axis=1) < 0.8
    assert 0 < unsure.sum() < len(x)
    np.testing.assert_array_equal(silent.scores(x)[unsure], 0.1)
    assert (silent.labels(x)[unsure] == 0).all()
    np.testing.assert_array_equal(silent.scores(x)[~unsure], np.eye(10)[scores[~unsure].argmax(axis=1)])
    assert np.array_equal(silent.labels(x)[~unsure], target.model.labels(x)[~unsure])
    assert np.array_equal(Abstention(0.0)(target).model.labels(x), target.model.labels(x))


def test_what_sets_need_is_said(learnt, patients):
    with pytest.raises(InputError, match="records that the model never saw; name public records"):
        PredictionSets()(learnt.recipe).fit(learnt.splits.members, 0)
    few = learnt.splits.public.take(np.arange(8))
    with pytest.raises(InputError, match=r"8 public records are of classes .* alpha = 0\.1 needs 9"):
        PredictionSets(0.1, few)(learnt.targets[0])
    assert PredictionSets(0.12, few)(learnt.targets[0]).model.defence.least >= 0
    with pytest.raises(InputError, match="not fitted yet"):
        PredictionSets().harden(np.eye(2), np.zeros(2, np.uint64))
    for alpha in (0, 1, math.nan):
        with pytest.raises(InputError, match="use a number between 0 and 1"):
            PredictionSets(alpha)
    with pytest.raises(InputError, match="sure is 1.5; use a number from 0 to 1".replace(".", r"\.")):
        Abstention(1.5)
    table = patients.x[patients.x.columns[:2]]
    regressor = SklearnRecipe(LinearRegression()).fit(Records.of(table, table.iloc[:, 0].to_numpy()), 0)
    with pytest.raises(InputError, match="Prediction sets are sets of classes, and a regressor has none"):
        PredictionSets(public=few)(regressor)
