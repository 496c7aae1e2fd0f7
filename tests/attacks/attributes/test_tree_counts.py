import warnings

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.attributes.tree import TreeCounts
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side, Target
from safelight.targets.fake import LeakyImages, LeakyRecipe
from safelight.threat import Access, ThreatModel

WHITE = ThreatModel(Access.WEIGHTS)


def numbers_only(records: Records, *more: str) -> Records:
    return Records(records.x.drop(columns=["region", *more]), records.y, records.ids)


def literal(tree, trained, question, p_v, smoothing):
    """Count, with the training data in hand, who shares each record's leaf and its label."""
    home = tree.apply(trained.x)
    classes = len(np.unique(trained.y))
    belief = np.empty((len(question.records), len(p_v)))
    for value in range(len(p_v)):
        x = question.records.x.assign(smoker=value)
        for row, leaf in enumerate(tree.apply(x)):
            same = trained.y[home == leaf]
            matching = (same == question.records.y[row]).sum()
            belief[row, value] = np.log(p_v[value] * (matching + smoothing) / (len(same) + smoothing * classes))
    return belief


@pytest.mark.parametrize("depth", [4, None])
def test_stored_counts_are_those_of_the_training_data(help, depth):
    records, _ = help.survey(150, seed=1)
    trained = numbers_only(records)
    question = help.asked(trained)
    tree = DecisionTreeClassifier(max_depth=depth)
    target = SklearnRecipe(tree).fit(trained, seed=0)
    got = TreeCounts().run(target.view(WHITE, Side(trained)), question, np.random.default_rng(0)).values
    ones = int(trained.x["smoker"].sum())
    p_v = np.array([151 - ones, 1 + ones]) / 152
    wanted = literal(target.model.estimator(), trained, question, p_v, 0.1)
    assert np.allclose(got[:, 1] - got[:, 0], wanted[:, 1] - wanted[:, 0])
    assert np.allclose(got.sum(axis=1), 0)


def test_it_sends_nothing(help):
    records, _ = help.survey(80, seed=2)
    view = SklearnRecipe(help.forest(5)).fit(records, seed=0).view(WHITE)
    TreeCounts().run(view, help.asked(records), np.random.default_rng(0))
    assert view.spent == 0


@pytest.mark.parametrize("kind", ["tree in arrays", "extra trees", "regression forest", "unmet class"])
def test_other_trees_give_the_secret_away_too(help, kind):
    records, secret = help.survey(300, seed=3)
    # A single tree tells records apart by income alone, if it can, and then never reads the secret.
    records = numbers_only(records, "income")
    if kind == "tree in arrays":
        fitted = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
        target = Target.from_sklearn(fitted.fit(records.x.to_numpy(), records.y), records.x)
    elif kind == "extra trees":
        target = SklearnRecipe(ExtraTreesClassifier(20)).fit(records, seed=0)
    elif kind == "regression forest":
        noisy = records.x["age"].to_numpy(float) + np.random.default_rng(0).normal(0, 5, 300)
        records = records.relabelled(noisy)
        target = SklearnRecipe(RandomForestRegressor(20)).fit(records, seed=0)
    else:
        records = records.take(records.y != 1)
        secret = records.x["smoker"].to_numpy()
        target = SklearnRecipe(DecisionTreeClassifier()).fit(records, seed=0)
        assert len(target.model.classes) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = TreeCounts().run(target.view(WHITE), help.asked(records), np.random.default_rng(0))
    right, guesses = help.surest(got, secret)
    assert right >= 0.75 * guesses


def test_a_label_that_the_trees_never_met_counts_nothing(help):
    records, _ = help.survey(200, seed=6)
    records = numbers_only(records, "income")
    met = records.take(records.y != 1)
    target = SklearnRecipe(DecisionTreeClassifier()).fit(met, seed=0)
    unmet = help.asked(records.take(records.y == 1))
    got = TreeCounts().run(target.view(WHITE), unmet, np.random.default_rng(0)).values
    tree = target.model.estimator()
    sizes = np.stack(
        [tree.tree_.n_node_samples[tree.apply(unmet.records.x.assign(smoker=value))] for value in (0, 1)], axis=1
    )
    wanted = np.log(0.1 / (sizes + 0.2))
    assert np.allclose(got[:, 1] - got[:, 0], wanted[:, 1] - wanted[:, 0])


def test_classes_in_another_order_than_the_trees_own_are_told_by_name(help):
    records, _ = help.survey(150, seed=6)
    records = numbers_only(records, "income")
    names = np.array(["c", "a", "b"])
    fitted = DecisionTreeClassifier(random_state=0).fit(records.x, names[records.y])
    other = Target.from_sklearn(fitted, records.x, labels=names)
    same = Target.from_sklearn(DecisionTreeClassifier(random_state=0).fit(records.x, records.y), records.x)
    question = help.asked(records)
    got, wanted = (TreeCounts().run(each.view(WHITE), question, np.random.default_rng(0)) for each in (other, same))
    assert np.allclose(got.values, wanted.values)


def test_a_stump_that_reads_no_secret_gives_nothing_away(help):
    records, _ = help.survey(200, seed=4)
    records = numbers_only(records)
    target = SklearnRecipe(DecisionTreeClassifier(max_depth=1)).fit(records, seed=0)
    assert target.model.estimator().tree_.feature[0] != list(records.x.columns).index("smoker")
    got = TreeCounts().run(target.view(WHITE), help.asked(records), np.random.default_rng(0))
    assert np.allclose(got.values, 0)


def test_models_that_are_no_trees_are_refused(help):
    records, _ = help.survey(60, seed=5)
    records = numbers_only(records)
    question = help.asked(records)
    linear = SklearnRecipe(make_pipeline(StandardScaler(), LogisticRegression())).fit(records, seed=0)
    with pytest.raises(AccessDenied, match="the target is a LogisticRegression"):
        TreeCounts().run(linear.view(WHITE), question, np.random.default_rng(0))
    fake = LeakyRecipe(linear.model.inputs, pictures=False).fit(records, seed=0)
    with pytest.raises(AccessDenied, match="can show no more than scores"):
        TreeCounts().run(fake.view(WHITE), question, np.random.default_rng(0))
    other = Target("other", LeakyImages(np.zeros((2, 1)), linear.model.inputs, ("a", "b"), 1.0))
    with pytest.raises(AccessDenied, match="is no scikit-learn model"):
        TreeCounts().run(other.view(WHITE), question, np.random.default_rng(0))
