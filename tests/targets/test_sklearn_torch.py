"""Adapters give what the library itself gives, and refuse what they cannot wrap."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from safelight.errors import AccessDenied, BadAnswer, InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Target
from safelight.threat import Access, ThreatModel


def test_a_pipeline_on_a_table_answers_as_it_does_itself(patients):
    table = patients.x.drop(columns="insurer")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, np.where(patients.y, "benign", "bad"))
    target = Target.from_sklearn(pipeline, table)
    assert target.model.classes == ("bad", "benign")
    assert target.description == "StandardScaler + LogisticRegression"
    view = target.view(ThreatModel())
    shuffled = table[table.columns[::-1]]
    np.testing.assert_allclose(view.scores(shuffled), pipeline.predict_proba(table), atol=1e-12)
    np.testing.assert_array_equal(view.labels(table), pipeline.predict(table) == "benign")


def test_class_numbers_follow_the_names_that_are_asked_for(patients):
    table, answers = patients.x.drop(columns="insurer"), np.where(patients.y, "yes", "no")
    tree = DecisionTreeClassifier(max_depth=2).fit(table, answers)
    model = Target.from_sklearn(tree, table, labels=("yes", "no")).model
    np.testing.assert_array_equal(model.scores(table)[:, 0], tree.predict_proba(table)[:, 1])
    np.testing.assert_array_equal(model.labels(table) == 0, tree.predict(table) == "yes")


def test_a_regressor_answers_with_numbers_and_has_no_scores(patients):
    table = patients.x.drop(columns="insurer")
    model = LinearRegression().fit(table, table["mean area"])
    view = Target.from_sklearn(model, table).view(ThreatModel())
    np.testing.assert_allclose(view.labels(table), model.predict(table))
    with pytest.raises(BadAnswer, match="no class scores"):
        view.scores(table)


def test_a_class_missing_from_the_training_data_scores_zero(digits):
    some = digits.take(digits.y != 3)
    target = SklearnRecipe(LogisticRegression(C=0.1, max_iter=200), Images((1, 8, 8))).fit(some, 0)
    scores = target.model.scores(digits.x[:5])
    assert scores.shape == (5, 10)
    assert (scores[:, 3] == 0).all()
    assert set(target.model.labels(digits.x)) == set(range(10)) - {3}


def test_a_linear_classifier_is_differentiable(digits):
    target = SklearnRecipe(LogisticRegression(C=0.1, max_iter=200), Images((1, 8, 8))).fit(digits, 0)
    logits = target.model.differentiable(torch.as_tensor(digits.x[:5], dtype=torch.float64))
    np.testing.assert_allclose(torch.softmax(logits, 1).numpy(), target.model.scores(digits.x[:5]), atol=1e-6)


def test_a_forest_is_not_differentiable(patients):
    tree = DecisionTreeClassifier().fit(patients.x.drop(columns="insurer"), patients.y)
    view = Target.from_sklearn(tree, patients.x.drop(columns="insurer")).view(ThreatModel(Access.WEIGHTS))
    with pytest.raises(InputError, match="offers no gradient"):
        view.differentiable(torch.zeros(1, 6))


def test_columns_must_be_known():
    with pytest.raises(InputError, match="give like=a DataFrame"):
        Target.from_sklearn(LogisticRegression().fit([[0.0], [1.0]], [0, 1]))
    with pytest.raises(InputError, match="has no predict"):
        Target.from_sklearn(object(), pd.DataFrame())


def test_a_module_gives_its_own_softmax_and_is_frozen(digits):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    target = Target.from_torch(net, Images((1, 8, 8)), labels=list("abcdefghij"))
    expected = torch.softmax(net(torch.as_tensor(digits.x)), 1).numpy()
    np.testing.assert_allclose(target.view(ThreatModel()).scores(digits.x), expected, atol=1e-5)
    assert not any(weight.requires_grad for weight in net.parameters())
    assert target.view(ThreatModel(Access.WEIGHTS)).module() is net
    with pytest.raises(AccessDenied):
        target.view(ThreatModel(Access.GRADIENTS)).module()


def test_a_module_that_does_not_fit_is_one_clear_sentence():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(InputError, match=r"refuses an image of shape \(1, 9, 9\)"):
        Target.from_torch(net, Images((1, 9, 9)))
    with pytest.raises(InputError, match="does not say what images it takes"):
        Target.from_torch(net)
    with pytest.raises(InputError, match="2 class names were given, but the module has 10 outputs"):
        Target.from_torch(net, Images((1, 8, 8)), labels=["a", "b"])
