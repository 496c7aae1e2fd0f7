"""The attack that reads a secret in the rebuilt table (A006)."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from safelight.attacks.attributes import rebuild as module
from safelight.attacks.attributes.forest import ForestReconstruction, shared_leaves
from safelight.attacks.attributes.tree import TreeCounts
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import Rebuilt, WhichValue
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side, Target
from safelight.targets.fake import LeakyImages
from safelight.threat import Access, ThreatModel

WHITE = ThreatModel(Access.WEIGHTS)


def survey(n: int = 80) -> tuple[Records, np.ndarray]:
    """Return small columns, one of them of words, a coin as the secret, and labels that no column explains."""
    rng = np.random.default_rng(3)
    x = pd.DataFrame({f"q{i}": rng.integers(0, 2, n) for i in range(6)})
    x["region"] = rng.choice(["north", "south", "west"], n)
    x["smoker"] = rng.integers(0, 2, n)
    return Records.of(x, rng.integers(0, 2, n)), x["smoker"].to_numpy()


def asked(records: Records, rows: np.ndarray) -> WhichValue:
    taken = records.take(rows)
    blank = taken.x.assign(smoker=0)
    return WhichValue(Records(blank, taken.y, taken.ids), "smoker", np.arange(2))


def encoded(trees: int = 60, **settings) -> SklearnRecipe:
    words = make_column_transformer((OneHotEncoder(), ["region"]), remainder="passthrough")
    return SklearnRecipe(make_pipeline(words, RandomForestClassifier(trees, **settings)))


def right(attack, view, question, secret) -> float:
    belief = attack.run(view, question, np.random.default_rng(0)).values
    # A tie counts half.
    gain = belief[np.arange(len(secret)), secret] - belief[np.arange(len(secret)), 1 - secret]
    return float(np.mean((gain > 1e-12) + 0.5 * (np.abs(gain) <= 1e-12)))


@pytest.mark.parametrize(
    ("settings", "gain"), [({}, 0.1), ({"trees": 100, "min_samples_leaf": 5}, 0.2), ({"bootstrap": False}, 0.0)]
)
def test_it_reads_the_secret_behind_an_encoder_where_leaf_counts_alone_say_less(settings, gain):
    records, secret = survey(60)
    view = encoded(**settings).fit(records, seed=0).view(WHITE)
    question = asked(records, np.arange(60))
    whole, leaves = (right(attack, view, question, secret) for attack in (ForestReconstruction(), TreeCounts()))
    assert whole >= 0.9
    assert whole >= leaves + gain
    assert view.spent == 0


def test_records_that_were_never_trained_on_give_nothing_away():
    records, secret = survey(160)
    view = encoded().fit(records.take(np.arange(80)), seed=0).view(WHITE)
    others = np.arange(80, 160)
    assert 0.33 < right(ForestReconstruction(), view, asked(records, others), secret[others]) < 0.67


def shared_literally(trees, x, y, table):
    best = []
    for record, label in zip(x, y):
        shares = [
            np.mean([tree.apply(record[None])[0] == tree.apply(row.astype(np.float32)[None])[0] for tree in trees])
            for row, own in zip(table.x, table.y)
            if own == label
        ]
        best.append(max(shares, default=0.0))
    return best


def test_leaves_are_shared_with_the_nearest_rebuilt_record_of_the_same_class():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (30, 5)), rng.integers(0, 2, 30)
    trees = [tree.tree_ for tree in RandomForestClassifier(7, random_state=0).fit(x, y).estimators_]
    asked_x, asked_y = rng.integers(0, 2, (12, 5)).astype(np.float32), np.repeat([0, 1, -1], 4)
    table = Rebuilt(x[:9].astype(float), y[:9])
    found = shared_leaves(trees, asked_x, asked_y, table)
    assert found == pytest.approx(shared_literally(trees, asked_x, asked_y, table))
    assert (found[8:] == 0).all()


def test_it_says_how_far_the_solver_got(monkeypatch):
    records, _ = survey()
    view = encoded(bootstrap=False).fit(records, seed=0).view(WHITE)
    monkeypatch.setattr(module, "MOST_LITERALS", 3000)
    with pytest.warns(UserWarning, match=r"fits the counts of \d of 60 trees"):
        ForestReconstruction().run(view, asked(records, np.arange(20)), np.random.default_rng(0))


def test_what_does_not_fit_is_said_beforehand(monkeypatch):
    records, _ = survey()
    fits = encoded().fit(records, seed=0).model
    assert ForestReconstruction().misfit(fits, Side()) == ""
    assert ForestReconstruction(max_records=79).misfit(fits, Side()) == "it tries 79 records, and there are 80"
    linear = Target.from_sklearn(LogisticRegression().fit(records.x[["q0", "q1"]], records.y))
    assert "the target is a LogisticRegression" in ForestReconstruction().misfit(linear.model, Side())
    images = LeakyImages(np.zeros((2, 1)), linear.model.inputs, ("a", "b"), 1.0)
    assert ForestReconstruction().misfit(images, Side()) == "the target is no scikit-learn model"
    monkeypatch.setitem(sys.modules, "ortools.sat.python.cp_model", None)
    assert 'pip install "safelight[forest]"' in ForestReconstruction().misfit(fits, Side())


def test_too_many_records_are_refused():
    records, _ = survey()
    view = encoded().fit(records, seed=0).view(WHITE)
    with pytest.raises(AccessDenied, match="it tries 10 records, and there are 80"):
        ForestReconstruction(max_records=10).run(view, asked(records, np.arange(20)), np.random.default_rng(0))
