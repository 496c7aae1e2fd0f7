"""What a model file holds: each count beside a slow one, and never an empty all-clear."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.disclosure.leaves import leaves_reached
from safelight.attacks.disclosure.parts import parts
from safelight.attacks.disclosure.structure import certain, check_structure
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.targets.base import Images, Table, Target
from safelight.targets.fake import LeakyRecipe


@pytest.fixture(scope="module")
def members():
    bunch = load_breast_cancer(as_frame=True)
    rows = np.random.default_rng(0).permutation(len(bunch.target))[:284]
    return Records.of(bunch.data, bunch.target).take(rows)


def seen(model, records, k=10):
    """Return the observations by name; every one has a sentence and says risk, no risk or not known."""
    found = check_structure(Target.from_sklearn(model.fit(records.x, records.y), records.x).model, records, k)
    assert found
    for item in found:
        assert item.sentence.endswith(".")
        assert item.risk in (True, False, None)
    return {item.name: item for item in found}


TREES = {
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(7, random_state=0),
    "boosted": GradientBoostingClassifier(n_estimators=5, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=5, early_stopping=False),
    "behind a scaler": make_pipeline(StandardScaler(), ExtraTreesClassifier(4, random_state=0)),
}


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("k", [2, 10, 40])
def test_leaves_are_counted_as_one_would_by_hand(name, k, members):
    found = seen(TREES[name], members, k)
    total = small = pure = 0
    smallest = len(members)
    for part in parts(TREES[name], members.x):
        for leaf in leaves_reached(part):
            for number in set(leaf.tolist()):
                labels = members.y[leaf == number]
                total, small = total + 1, small + (len(labels) < k)
                smallest, pure = min(smallest, len(labels)), pure + (len(set(labels.tolist())) == 1)
    assert found["small_leaves"].value == pytest.approx(small / total)
    assert found["small_leaves"].risk is (small > 0)
    assert found["small_leaves"].sentence.startswith(f"{small:,} of the {total:,} leaves")
    assert found["small_leaves"].sentence.endswith(f"the smallest holds {smallest}.")
    assert found["class_disclosure"].value == pytest.approx(pure / total)


def test_the_leaves_reached_are_those_that_the_trees_count_themselves(members):
    tree = DecisionTreeClassifier(random_state=0).fit(members.x, members.y)
    (leaf,) = (leaf for part in parts(tree, members.x) for leaf in leaves_reached(part))
    numbers, sizes = np.unique(leaf, return_counts=True)
    assert (tree.tree_.n_node_samples[numbers] == sizes).all()
    table = members.x.assign(kind=pd.Categorical(np.where(members.x["mean area"] > 600, "large", "small")))
    boosted = HistGradientBoostingClassifier(max_iter=8, early_stopping=False, categorical_features="from_dtype")
    boosted.fit(table, members.y)
    reached = [leaf for part in parts(boosted, table) for leaf in leaves_reached(part)]
    trees = [tree for trees in boosted._predictors for tree in trees]
    assert len(reached) == len(trees) == 8
    for leaf, tree in zip(reached, trees):
        counted = np.where(tree.nodes["is_leaf"], tree.nodes["count"], 0)
        assert (np.bincount(leaf, minlength=len(tree.nodes)) == counted).all()


def test_large_leaves_are_no_risk_and_smaller_k_asks_less(members):
    model = ExtraTreesClassifier(10, min_samples_leaf=12, random_state=0)
    assert seen(model, members)["small_leaves"].risk is False
    assert seen(model, members, k=40)["small_leaves"].risk is True


def test_stored_records_are_a_share_of_the_training_records(members):
    whole = seen(make_pipeline(StandardScaler(), KNeighborsClassifier(5)), members)
    assert whole["stored_records"].value == 1.0
    assert whole["small_neighbourhoods"].value == 5
    assert whole["small_neighbourhoods"].risk is True
    assert seen(KNeighborsClassifier(20), members)["small_neighbourhoods"].risk is False
    model = make_pipeline(StandardScaler(), SVC())
    some = seen(model, members)["stored_records"]
    assert some.value == len(model[-1].support_) / len(members)
    assert some.sentence.startswith(f"{len(model[-1].support_)} of 284 training records lie in the file")
    strangers = Target.from_sklearn(model, members.x).model
    moved = Records.of(members.x + 1.0, members.y)
    (told, *_) = check_structure(strangers, moved)
    assert told.risk is None
    assert "none of them is one of these training records" in told.sentence


@pytest.mark.parametrize(
    ("model", "learnt"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), 31),
        (GaussianNB(), (30 + 30 + 1) * 2),
        (make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=5)), 30 * 4 + 4 + 4 + 1),
        (KNeighborsClassifier(5), 284 // 5),
        (DecisionTreeClassifier(max_leaf_nodes=8, random_state=0), 7 + 8),
        (RandomForestClassifier(3, max_leaf_nodes=8, random_state=0), 3 * (7 + 8)),
        (GradientBoostingClassifier(n_estimators=3, max_leaf_nodes=4, max_depth=None), 3 * (3 + 4) + 2),
        (HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4), 3 * (3 + 4)),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_degrees_of_freedom_are_records_minus_learnt_numbers(model, learnt, members):
    found = seen(model, members)["degrees_of_freedom"]
    assert found.value == 284 - learnt
    assert found.risk is (284 - learnt < 10)
    assert f"{learnt} numbers were learnt from 284 training records" in found.sentence


def test_too_few_degrees_of_freedom_are_a_risk_and_uncounted_numbers_no_all_clear(members):
    assert seen(RandomForestClassifier(100, random_state=0), members)["degrees_of_freedom"].risk is True
    unknown = seen(make_pipeline(StandardScaler(), GaussianProcessClassifier(optimizer=None)), members)
    assert unknown["degrees_of_freedom"].risk is None
    assert unknown["degrees_of_freedom"].value is None


def test_certain_answers_are_groups_that_share_one():
    scores = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 2 + [[0.5, 0.5]] * 4)
    assert certain(scores, 3).tolist() == [True] * 3 + [False] * 6
    assert certain(scores, 2).tolist() == [True] * 5 + [False] * 4
    assert not certain(scores, 4).any()
    assert not certain(np.full((5, 2), 0.5), 2).any()


def test_a_class_that_the_model_never_met_makes_no_answer_certain(members):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3)).fit(members.x, members.y)
    target = Target.from_sklearn(model, members.x, labels=("benign", "malignant", "unknown"))
    named = {item.name: item for item in check_structure(target.model, members)}
    assert named["certain_answers"].risk is False


def notes(count=40):
    common = [f"stable {'tired' if row % 2 else 'well'}" for row in range(count)]
    common[7] += " Zebulon"
    table = pd.DataFrame({"note": common, "ward": ["north"] * (count - 1) + ["Aldebaran"], "age": np.arange(count)})
    return Records.of(table, np.arange(count) % 2)


def test_words_and_categories_of_few_records_are_counted_and_not_shown():
    records = notes()
    encode = make_column_transformer((CountVectorizer(), "note"), (OneHotEncoder(), ["ward"]))
    found = seen(make_pipeline(encode, LogisticRegression()), records)["rare_words"]
    assert found.value == 2
    assert found.risk is True
    assert found.sentence.startswith("2 of the 6 words and categories")
    assert "zebulon" not in found.sentence.lower()
    assert "aldebaran" not in found.sentence.lower()
    assert seen(make_pipeline(encode, LogisticRegression()), records, k=21)["rare_words"].value == 4


def test_words_that_were_given_as_a_setting_are_no_training_text():
    vectorizer = CountVectorizer(vocabulary=["stable", "zebulon"])
    encoder = OrdinalEncoder(categories=[["north", "Aldebaran"]])
    encode = make_column_transformer((vectorizer, "note"), (encoder, ["ward"]))
    assert "rare_words" not in seen(make_pipeline(encode, LogisticRegression()), notes())


def test_categories_inside_boosted_trees_are_found():
    records = notes()
    table = records.x[["ward", "age"]].assign(ward=pd.Categorical(records.x["ward"]))
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype")
    assert seen(model, Records.of(table, records.y))["rare_words"].value == 1


def test_a_regression_has_leaves_and_no_classes(members):
    records = Records.of(members.x, members.x["mean area"].to_numpy(float))
    found = seen(RandomForestRegressor(5, random_state=0), records)
    assert found["small_leaves"].risk is True
    assert not {"class_disclosure", "certain_answers"} & set(found)


@dataclass
class Foreign:
    """A model of another library."""

    classes_: np.ndarray
    broken: bool = False

    def predict(self, x):
        return self.classes_[np.zeros(len(x), int)]

    def predict_proba(self, x):
        if self.broken:
            raise ValueError(f"the record {x.iloc[0].tolist() if hasattr(x, 'iloc') else x[0]} is odd")
        return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))


def test_what_no_check_knows_is_said(members):
    model = Target.from_sklearn(Foreign(np.array([0, 1])), members.x).model
    first, *_, last = check_structure(model, members)
    assert first.risk is None
    assert first.sentence.endswith("as far as it was looked into.")
    assert (last.name, last.risk) == ("not_looked_into", None)
    assert last.sentence == "What Foreign holds was not looked into: no check knows it."


def test_a_model_that_cannot_be_read_to_its_end_ends_no_audit_and_shows_no_record(members):
    model = Target.from_sklearn(Foreign(np.array([0, 1]), broken=True), members.x).model
    *first, last = check_structure(model, members)
    assert first
    assert last.risk is None
    assert last.sentence == "The rest of the file could not be read (ValueError), so what it holds is not known."


def test_without_a_file_nothing_is_said_to_be_fine(members):
    fake = LeakyRecipe(Table(tuple(members.x.columns)), pictures=False).fit(members, 0)
    (only,) = check_structure(fake.model, members)
    assert only.risk is None
    assert only.sentence == "No model file is at hand, so nothing was counted in one."


def test_of_a_torch_network_the_numbers_are_counted(digits):
    from torch import nn

    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    freedom, rest = check_structure(Target.from_torch(network, Images((1, 8, 8))).model, digits)
    assert freedom.value == len(digits) - 650
    assert freedom.risk is False
    assert rest.sentence == "What Sequential holds besides its numbers was not looked into: no check knows it."


def test_k_is_at_least_two(members):
    with pytest.raises(InputError, match="k is 1; give the fewest records"):
        seen(GaussianNB(), members, k=1)
