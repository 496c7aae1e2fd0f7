"""Reverse sigmoid and MemGuard: their formulas, what they do, and the attackers whom they do not stop."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from safelight.attacks.membership.label_only import LabelOnly, Moves
from safelight.attacks.membership.lira import Lira
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.defences.outputs.memguard import MemGuard, Misleading, classifier, features
from safelight.defences.outputs.reverse_sigmoid import ReverseSigmoid
from safelight.errors import InputError
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel


def adaptive(learnt, recipe, number):
    """Return the AUC of LiRA whose reference models are trained by the same recipe."""
    side = Side(None, ShadowPool(recipe, seed=number + 50))
    view = recipe.fit(learnt.splits.members, number).view(ThreatModel(), side)
    values = Lira(references=8).run(view, WhoWasIn(learnt.everyone), np.random.default_rng(0)).values
    return roc_auc_score(learnt.inside, values[:, 0])


@pytest.fixture(scope="module")
def undefended(learnt):
    return np.mean([adaptive(learnt, learnt.recipe, number) for number in range(3)])


def label_only(learnt, target):
    view = target.view(ThreatModel(Access.LABEL))
    return LabelOnly(Moves.NOISE, copies=10).run(view, WhoWasIn(learnt.everyone), np.random.default_rng(0)).values


def literal(row, beta, gamma):
    """The formula of the paper for one row, one number at a time."""
    out = []
    for y in row:
        inner = 1 / (1 + math.exp(-gamma * math.log(y / (1 - y))))
        out.append(y - beta * (inner - 0.5))
    return [value / sum(out) for value in out]


def test_the_sigmoid_is_the_formula_of_the_paper():
    rows = np.random.default_rng(0).dirichlet(np.full(4, 0.5), 20)
    bent = ReverseSigmoid(0.7, 0.2).harden(rows, np.zeros(20, np.uint64))
    for row, one in zip(rows.tolist(), bent):
        expected = np.array(literal(row, 0.7, 0.2))
        np.testing.assert_allclose(one, expected if expected.argmax() == np.argmax(row) else row, atol=1e-9)


def test_a_surer_answer_reads_as_a_less_sure_one_and_the_label_stays():
    rows = np.array([[0.999, 0.0005, 0.0005], [0.9999998, 1e-7, 1e-7]])
    bent = ReverseSigmoid().harden(rows, np.zeros(2, np.uint64))
    assert bent[0, 0] > bent[1, 0]
    many = np.random.default_rng(0).dirichlet(np.full(50, 0.1), 500)
    kept = ReverseSigmoid(1.0, 0.1).harden(many, np.zeros(500, np.uint64))
    assert np.array_equal(kept.argmax(axis=1), many.argmax(axis=1))
    np.testing.assert_allclose(kept.sum(axis=1), 1)
    assert ReverseSigmoid(beta=0).harden(many, np.zeros(500, np.uint64)) is many


@pytest.mark.parametrize("name", ["reverse sigmoid", "MemGuard"])
def test_neither_labels_nor_an_adaptive_attacker_are_stopped(learnt, undefended, name):
    defence = ReverseSigmoid() if name == "reverse sigmoid" else MemGuard(public=learnt.splits.public)
    recipe = defence(learnt.recipe)
    hardened = np.mean([adaptive(learnt, recipe, number) for number in range(3)])
    assert hardened > 0.6
    assert hardened > undefended - 0.07
    target, defended = learnt.targets[0], recipe.fit(learnt.splits.members, 0)
    assert np.abs(target.model.scores(learnt.everyone.x) - defended.model.scores(learnt.everyone.x)).mean() > 0.001
    assert np.array_equal(label_only(learnt, target), label_only(learnt, defended))


def test_memguard_blinds_the_classifier_that_it_is_made_against(learnt):
    public, members = learnt.splits.public, learnt.splits.members
    for target in learnt.targets:
        weights, offset = classifier(target.model.scores(members.x), target.model.scores(public.x))
        guarded = MemGuard(budget=2.0, public=public, members=members)(target)
        views = (target.model.scores(learnt.everyone.x), guarded.model.scores(learnt.everyone.x))
        before, after = (features(view) @ weights + offset for view in views)
        assert roc_auc_score(learnt.inside, before) > 0.55
        assert np.quantile(np.abs(after), 0.99) < 0.001 < np.quantile(np.abs(before), 0.01)


def test_the_classifier_is_a_logistic_regression_of_sorted_log_scores():
    rng = np.random.default_rng(0)
    members, others = rng.dirichlet([0.3] * 3, 300), rng.dirichlet([1.0] * 3, 600)
    weights, offset = classifier(members, others)
    assert features(np.array([[0.2, 0.7, 0.1]]))[0].tolist() == [math.log(0.7), math.log(0.2), math.log(0.1)]
    logits = [features(group) @ weights + offset for group in (members, others)]
    assert np.mean(logits[0] > 0) > 0.6 > 0.2 > np.mean(logits[1] > 0)


def test_memguard_keeps_its_budget_and_answers_an_input_alike(learnt):
    scores = learnt.targets[0].model.scores(learnt.everyone.x)
    key = np.arange(len(scores), dtype=np.uint64)
    weights, offset = classifier(scores[:300], scores[300:])
    for budget in (0.0, 0.02):
        defence = Misleading(weights, offset, budget, 30, 0)
        hardened = defence.harden(scores, key)
        assert np.array_equal(hardened, defence.harden(scores, key))
        assert np.array_equal(hardened.argmax(axis=1), scores.argmax(axis=1))
        assert np.abs(hardened - scores).sum(axis=1).mean() <= budget * 1.3
        np.testing.assert_allclose(hardened.sum(axis=1), 1)
    assert not np.array_equal(hardened, Misleading(weights, offset, 0.02, 30, 1).harden(scores, key))


def test_what_is_missing_or_senseless_is_refused(learnt, patients):
    with pytest.raises(InputError, match="MemGuard learns what tells members from others, and has no public records"):
        MemGuard()(learnt.recipe).fit(learnt.splits.members, 0)
    with pytest.raises(InputError, match="has no members records"):
        MemGuard(public=learnt.splits.public)(learnt.targets[0])
    with pytest.raises(InputError, match="no classifier yet"):
        MemGuard().harden(np.eye(2), np.zeros(2, np.uint64))
    with pytest.raises(InputError, match="budget is 3; use a number from 0 to 2"):
        MemGuard(budget=3)
    with pytest.raises(InputError, match="steps is 0; use a whole number of at least 1"):
        MemGuard(steps=0)
    with pytest.raises(InputError, match="beta is 2; use a number from 0 to 1"):
        ReverseSigmoid(beta=2)
    with pytest.raises(InputError, match="gamma is 0; use a number above 0"):
        ReverseSigmoid(gamma=0)
    table = patients.x[patients.x.columns[:2]]
    regressor = SklearnRecipe(LinearRegression()).fit(Records.of(table, table.iloc[:, 0].to_numpy()), 0)
    with pytest.raises(InputError, match="MemGuard moves probabilities, and a regressor has none"):
        MemGuard()(regressor)
