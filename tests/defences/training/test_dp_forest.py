"""Private forests: the odds of one leaf, splits that see no record, and what is left to learn and to leak."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import Records
from safelight.defences.training.dp_forest import DpForest, geometric, shares
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

BUNCH = load_breast_cancer(as_frame=True)
TABLE = Records.of(BUNCH.data / BUNCH.data.max(), BUNCH.target)
TRAIN, TEST, PUBLIC = (TABLE.take(np.arange(*span)) for span in ((0, 300), (300, 450), (450, 569)))
RECIPE = SklearnRecipe(RandomForestClassifier(20))


def accuracy(target, records=TEST):
    return (target.model.labels(records.x) == records.y).mean()


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_odds_of_a_noisy_count_move_by_at_most_the_promise(epsilon):
    rng = np.random.default_rng(0)
    drawn = 400_000
    without, found = (count + geometric(epsilon, (drawn,), rng) for count in (7, 8))
    for value in range(4, 12):
        one, other = (without == value).mean(), (found == value).mean()
        slack = 4 * np.sqrt(1 / (drawn * one) + 1 / (drawn * other))
        assert abs(abs(np.log(one / other)) - epsilon) < slack  # the promise is kept, and used up, at every value
    fade = np.exp(-epsilon)
    assert (without == 7).mean() == pytest.approx((1 - fade) / (1 + fade), rel=0.02)
    assert without.std() == pytest.approx(np.sqrt(2 * fade) / (1 - fade), rel=0.02)


@pytest.mark.parametrize("disjoint", [True, False])
def test_one_record_moves_one_count_a_tree_and_no_split(disjoint, monkeypatch):
    import safelight.defences.training.dp_forest as home

    seen = []
    monkeypatch.setattr(
        home, "shares", lambda counts, epsilon: seen.append((counts, epsilon)) or shares(counts, epsilon)
    )
    defence = DpForest(epsilon=4.0, trees=8, depth=4, disjoint=disjoint, low=0.0, high=1.0)
    more, less = (defence(RECIPE).fit(TRAIN.take(np.arange(n)), 0).model.fitted for n in (200, 199))
    moved = [np.abs(left - right).sum() for (left, _), (right, _) in zip(seen[:8], seen[8:])]
    assert sorted(moved) == ([0.0] * 7 + [1.0] if disjoint else [1.0] * 8)
    assert {spent for _, spent in seen} == {4.0 if disjoint else 0.5}
    for left, right in zip(more.estimators_, less.estimators_):
        assert np.array_equal(left.tree_.threshold, right.tree_.threshold)
        assert np.array_equal(left.tree_.feature, right.tree_.feature)


def test_with_a_huge_epsilon_leaves_hold_the_true_shares():
    fitted = DpForest(1e3, trees=3, depth=3, disjoint=False, low=0.0, high=1.0)(RECIPE).fit(TRAIN, 0).model.fitted
    rows = TRAIN.x.to_numpy(np.float32)
    for tree in fitted.estimators_:
        leaves = tree.apply(rows)
        for leaf in np.unique(leaves):
            true = np.bincount(TRAIN.y[leaves == leaf], minlength=2) / (leaves == leaf).sum()
            assert tree.tree_.value[leaf, 0] == pytest.approx(true, abs=1e-6)
            assert tree.predict_proba(rows[leaves == leaf])[0] == pytest.approx(true, abs=1e-6)


def flipped(records, seed):
    """The same records with a fifth of the labels wrong, so that a plain forest has something to memorise."""
    wrong = np.random.default_rng(seed).random(len(records)) < 0.2
    return records.relabelled(np.where(wrong, 1 - records.y, records.y))


def leak(target, members, others):
    scores = [log_odds(target.model.scores(part.x), part.y, 1e-30) for part in (members, others)]
    return roc_auc_score(np.repeat([1, 0], [len(members), len(others)]), np.concatenate(scores))


@pytest.mark.parametrize("disjoint", [True, False])
def test_something_is_learnt_and_less_of_who_was_in(disjoint):
    members, others = flipped(TRAIN, 0), flipped(TEST, 1)
    plain = RECIPE.fit(members, 0)
    assert leak(plain, members, others) > 0.7
    found = [DpForest(8.0, disjoint=disjoint, public=PUBLIC)(RECIPE).fit(members, seed) for seed in range(3)]
    assert np.mean([accuracy(target) for target in found]) > 0.75
    assert np.mean([leak(target, members, others) for target in found]) < 0.6


def test_images_and_single_trees():
    digits = load_digits()
    images = Records.of(digits.images[:, None] / 16, digits.target)
    train, test = images.take(np.arange(0, 1200)), images.take(np.arange(1200, 1797))
    recipe = SklearnRecipe(RandomForestClassifier(), Images((1, 8, 8)))
    assert accuracy(DpForest(8.0)(recipe).fit(train, 0), test) > 0.5
    one = DpForest(trees=None, low=0.0, high=1.0)(SklearnRecipe(DecisionTreeClassifier())).fit(TRAIN, 0)
    assert len(one.model.fitted.estimators_) == 1
    assert len(DpForest(trees=None)(recipe).fit(train, 0).model.fitted.estimators_) == 100


def test_the_same_seed_gives_the_same_forest_unless_it_is_secret():
    defence = DpForest(1.0, low=0.0, high=1.0)
    first, again = (defence(RECIPE).fit(TRAIN, 5).model.scores(TEST.x) for _ in range(2))
    assert np.array_equal(first, again)
    secret = DpForest(1.0, low=0.0, high=1.0, repeatable=False)(RECIPE)
    assert not np.array_equal(secret.fit(TRAIN, 5).model.scores(TEST.x), secret.fit(TRAIN, 5).model.scores(TEST.x))


def test_errors_and_the_guarantee():
    with pytest.raises(InputError, match="between low and high, and they are None and None; give public records"):
        DpForest()(RECIPE).fit(TRAIN, 0)
    with pytest.raises(InputError, match="the model is a LogisticRegression; give a forest"):
        DpForest()(SklearnRecipe(LogisticRegression()))
    words = Records.of(pd.DataFrame({"a": ["x", "y"] * 20}), np.arange(40) % 2)
    with pytest.raises(InputError, match="some hold words"):
        DpForest(low=0.0, high=1.0)(RECIPE).fit(words, 0)
    for settings, message in (
        ({"epsilon": 0.0}, "epsilon is 0.0"),
        ({"trees": 0}, "trees is 0"),
        ({"depth": 0}, "depth"),
    ):
        with pytest.raises(InputError, match=message):
            DpForest(**settings)
    found = DpForest(2.0).guarantee(RECIPE, 300)
    assert (found.epsilon, found.delta, found.adjacency) == (2.0, 0.0, "add-remove")
