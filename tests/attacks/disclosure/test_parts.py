"""Every estimator inside a model is found, and what reaches it is what it was trained on."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import validate_data

from safelight.attacks.disclosure.parts import parts, taken
from safelight.targets.base import Images, Table


class Spy(ClassifierMixin, BaseEstimator):
    """Keeps what it is trained on and answers with the classes in turn."""

    def __init__(self, bend=1.0):
        self.bend = bend

    def fit(self, x, y):
        self.trained_ = validate_data(self, x)
        self.classes_ = np.unique(y)
        self.coef_ = np.ones((1, x.shape[1]))
        return self

    def predict(self, x):
        return self.classes_[np.arange(x.shape[0]) % len(self.classes_)]

    def predict_proba(self, x):
        return np.full((x.shape[0], len(self.classes_)), 1 / len(self.classes_))


SCALED = make_pipeline(StandardScaler(), Spy())
MODELS = {
    "pipeline": SCALED,
    "nested pipelines": make_pipeline(MinMaxScaler(), "passthrough", SCALED),
    "columns": make_pipeline(
        make_column_transformer((StandardScaler(), ["mean area", "mean radius"]), remainder="passthrough"), Spy()
    ),
    "union": make_pipeline(make_union(StandardScaler(), MinMaxScaler()), Spy()),
    "search": GridSearchCV(SCALED, {"spy__bend": [1.0, 2.0]}, cv=2),
    "voting": VotingClassifier([("spy", SCALED), ("tree", DecisionTreeClassifier())]),
    "stacking": StackingClassifier([("spy", SCALED)], LogisticRegression(), cv="prefit"),
    "calibrated": CalibratedClassifierCV(FrozenEstimator(SCALED), ensemble=False),
    "selection": make_pipeline(StandardScaler(), RFE(Spy(), n_features_to_select=5, step=25)),
    "bagging": BaggingClassifier(SCALED, 3, max_features=0.5, bootstrap=False),
}


@pytest.fixture(scope="module")
def cancer():
    bunch = load_breast_cancer(as_frame=True)
    return bunch.data.iloc[:200], bunch.target.to_numpy()[:200]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("named", [True, False])
def test_what_reaches_an_estimator_is_what_it_was_trained_on(name, named, cancer):
    if name == "columns" and not named:
        return
    x, y = cancer if named else (cancer[0].to_numpy(), cancer[1])
    model = MODELS[name]
    if name in ("stacking", "calibrated"):  # These take what is trained already.
        SCALED.fit(x, y)
    found = [part for part in parts(model.fit(x, y), x) if hasattr(part.estimator, "trained_")]
    assert len(found) == (3 if name == "bagging" else 1)
    for part in found:
        assert part.last
        np.testing.assert_array_equal(np.asarray(part.x), part.estimator.trained_)


def test_without_records_the_same_estimators_are_found(cancer):
    for model in (MODELS["bagging"], MODELS["columns"], MODELS["search"]):
        fitted = model.fit(*cancer)
        bare = list(parts(fitted))
        assert [part.estimator for part in bare] == [part.estimator for part in parts(fitted, cancer[0])]
        assert all(part.x is None for part in bare)


def test_the_template_of_an_ensemble_is_no_part_of_the_model(cancer):
    boosted = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=4).fit(*cancer)
    trees = [part.estimator for part in parts(boosted) if isinstance(part.estimator, DecisionTreeClassifier)]
    assert len(trees) == len(boosted.estimators_)
    assert all(hasattr(tree, "tree_") for tree in trees)


def test_where_the_input_cannot_be_told_nothing_is_made_up(cancer):
    x, y = cancer
    chain = ClassifierChain(Spy()).fit(x.to_numpy(), np.stack([y, 1 - y], axis=1))
    reached = [part.x for part in parts(chain, x.to_numpy()) if hasattr(part.estimator, "trained_")]
    assert reached[0].shape == x.shape
    assert reached[1] is None


def test_a_step_of_ones_own_gets_what_the_pipeline_gives_it():
    def double(table):
        return table[["a"]] * 2

    x = pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, 1.0]})
    model = make_pipeline(FunctionTransformer(double), Spy()).fit(x, [0, 1])
    spy = next(part for part in parts(model, x) if isinstance(part.estimator, Spy))
    assert np.asarray(spy.x).ravel().tolist() == [2.0, 4.0]


def test_records_are_taken_as_the_model_takes_them():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "extra": [0, 0]})
    named = Spy().fit(table[["b", "a"]], [0, 1])
    assert list(taken(named, Table(("b", "a")), table).columns) == ["b", "a"]
    assert taken(Spy().fit(table[["b", "a"]].to_numpy(), [0, 1]), Table(("b", "a")), table).tolist() == [[3, 1], [4, 2]]
    assert taken(Spy(), Images((1, 2, 2)), np.zeros((3, 1, 2, 2))).shape == (3, 4)
