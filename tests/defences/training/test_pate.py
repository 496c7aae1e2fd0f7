"""PATE: the vote, its accounting, and a student that knows little of who was in."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import Records
from safelight.defences.training.pate import Pate, winners
from safelight.errors import InputError
from safelight.measures.gaussian_dp import delta_of_mu, epsilon_of_mu
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

BUNCH = load_digits()
DIGITS = Records.of(BUNCH.images[:, None] / 16, BUNCH.target)
TRAIN, PUBLIC, TEST = (DIGITS.take(np.arange(*span)) for span in ((0, 1000), (1000, 1400), (1400, 1797)))
RECIPE = SklearnRecipe(LogisticRegression(), Images((1, 8, 8)))


def accuracy(target):
    return (target.model.labels(TEST.x) == TEST.y).mean()


def test_the_most_votes_win_and_noise_turns_close_ones():
    votes = [np.array([0, 2, 1, 1]), np.array([0, 2, 2, 1]), np.array([1, 2, 2, 0])]
    assert winners(votes, 3, 0.0, np.random.default_rng(0)).tolist() == [0, 2, 2, 1]
    assert winners([np.array([0, 0, 0])] * 2 + [np.array([0, 1, 0])], 2, 0.0, np.random.default_rng(0)).tolist() == [
        0,
        1,
        0,
    ]
    many = [np.zeros(20000, int)] * 3 + [np.ones(20000, int)]
    lost = (winners(many, 2, 2.0, np.random.default_rng(0)) == 1).mean()
    assert lost == pytest.approx(norm.sf(2 / (2 * np.sqrt(2))), abs=0.01)


def test_one_record_more_moves_one_vote(monkeypatch):
    import safelight.defences.training.pate as home

    seen = []
    monkeypatch.setattr(home, "winners", lambda votes, *rest: seen.append(votes) or winners(votes, *rest))
    defence = Pate(100.0, teachers=4, queries=60, public=PUBLIC)
    for records in (TRAIN.take(np.arange(300)), TRAIN.take(np.arange(299))):
        defence(RECIPE).fit(records, 0)
    # The last record's teacher alone may differ: each draws its own teacher, and the queries stay.
    assert sum(not np.array_equal(left, right) for left, right in zip(*seen)) <= 1


def test_the_accounting_is_that_of_m_gaussian_mechanisms():
    defence = Pate(2.0, 1e-5, queries=50, public=PUBLIC)
    assert epsilon_of_mu(np.sqrt(2 * 50) / defence.sigma(), 1e-5) == pytest.approx(2.0)
    assert delta_of_mu(np.sqrt(2 * 50) / defence.sigma(), 2.0) == pytest.approx(1e-5)
    pytest.importorskip("dp_accounting")
    found = defence.guarantee(RECIPE, 1000)
    assert (found.epsilon, found.delta, found.steps, found.rate) == (2.0, 1e-5, 50, None)
    orders = np.arange(1.1, 200, 0.1)
    # Papernot et al. 2018: m alpha / sigma^2, turned into epsilon by the plain conversion, which is never tighter.
    plain = (50 * orders / defence.sigma() ** 2 + np.log(1e5) / (orders - 1)).min()
    assert 2.0 < found.epsilon_rdp < plain
    assert "50 noisy votes of 20 teachers" in found.how
    assert (Pate(public=PUBLIC).answers, Pate(queries=None, public=PUBLIC).answers) == (100, 400)


def test_without_noise_the_student_learns_the_majority():
    defence = Pate(1e9, teachers=3, queries=None, public=PUBLIC)
    target = defence(RECIPE).fit(TRAIN, 0)
    assert accuracy(target) > 0.8
    assert np.array_equal(target.model.scores(TEST.x), defence(RECIPE).fit(TRAIN, 0).model.scores(TEST.x))


def leak(target, members, others):
    scores = [log_odds(target.model.scores(part.x), part.y, 1e-30) for part in (members, others)]
    return roc_auc_score(np.repeat([1, 0], [len(members), len(others)]), np.concatenate(scores))


def test_students_learn_and_do_not_know_who_was_in():
    forest = SklearnRecipe(RandomForestClassifier(10), Images((1, 8, 8)))
    assert leak(forest.fit(TRAIN, 0), TRAIN, TEST) > 0.7
    defence = Pate(8.0, teachers=50, queries=60, public=PUBLIC)
    found = [defence(forest).fit(TRAIN, seed) for seed in range(3)]
    assert np.mean([accuracy(target) for target in found]) > 0.35
    assert abs(np.mean([leak(target, TRAIN, TEST) for target in found]) - 0.5) < 0.06


def opaque(records, seed):
    return LogisticRegression().fit(records.x.reshape(len(records), -1), records.y)


def test_any_recipe_will_do():
    recipe = FunctionRecipe(opaque, Images((1, 8, 8)))
    assert accuracy(Pate(1e6, teachers=2, queries=None, public=PUBLIC)(recipe).fit(TRAIN, 0)) > 0.8


def test_a_teacher_of_one_class_names_it():
    part = TRAIN.take(np.flatnonzero(TRAIN.y == 3)[:4])
    assert set(Pate()._vote(RECIPE, part, PUBLIC, 0)) == {3}
    assert set(Pate()._vote(RECIPE, part.take(np.arange(0)), PUBLIC, 0)) == {0}


def test_errors_say_what_to_do():
    for defence, records, message in (
        (Pate(), TRAIN, "PATE has no public records to work with"),
        (Pate(public=PUBLIC), TRAIN.take(np.arange(30)), "30 records are too few for 20 teachers; take at most 15"),
        (Pate(delta=0.01, public=PUBLIC), TRAIN, "delta is 0.01, more than one over the 1,000 records"),
        (Pate(public=PUBLIC), TRAIN.relabelled(TRAIN.y * 1.5), "votes on classes"),
        (Pate(queries=9, public=PUBLIC), TRAIN, "9 public records are answered and there are 10 classes"),
    ):
        with pytest.raises(InputError, match=message):
            defence(RECIPE).fit(records, 0)
    with pytest.raises(InputError, match="has no public records to count"):
        Pate(queries=None).guarantee(RECIPE, 1000)
    with pytest.raises(InputError, match="teachers is 1; it must be at least 2"):
        Pate(teachers=1)
