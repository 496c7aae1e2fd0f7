"""Each way to copy a model, against models that it must copy, and on its rules: it never asks what it is asked."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.stealing.ask import misfit
from safelight.attacks.stealing.equations import EquationSolving
from safelight.attacks.stealing.knockoff import Knockoff
from safelight.attacks.stealing.paths import TreePaths
from safelight.attacks.stealing.retraining import LabelOnlyStealing, boundary
from safelight.attacks.stealing.space import Space
from safelight.attacks.stealing.student import linear
from safelight.attacks.stealing.unasked import unasked
from safelight.data.records import Records
from safelight.errors import AccessDenied
from safelight.evidence import WhatWouldItAnswer
from safelight.recipes.secret_rule import SecretRule
from safelight.targets.base import Side, Table, Target
from safelight.targets.fake import RandomAnswers
from safelight.threat import ThreatModel

ATTACKS = [EquationSolving(), TreePaths(queries=600), Knockoff(queries=300), LabelOnlyStealing(queries=300)]


@dataclass
class Spy:
    """Passes everything on and writes down what it was asked."""

    model: object
    seen: list = field(default_factory=list)

    def __getattr__(self, name):
        return getattr(self.model, name)

    def scores(self, x):
        self.seen.append(x)
        return self.model.scores(x)

    def labels(self, x):
        self.seen.append(x)
        return self.model.labels(x)


@pytest.fixture(scope="module")
def cancer():
    """Members, public records and others."""
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data, bunch.target.to_numpy())
    order = np.random.default_rng(0).permutation(len(everyone))
    return [everyone.take(rows) for rows in np.split(order, [200, 380])]


def steal(attack, target, public, others, **threat):
    view = target.view(ThreatModel(**{"access": attack.needs, **threat}), Side(public))
    return attack.run(view, WhatWouldItAnswer(others), np.random.default_rng(0)).values, view


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.code)
@pytest.mark.parametrize(
    "kind", [LogisticRegression(), RandomForestClassifier(20, random_state=0)], ids=["linear", "forest"]
)
def test_it_never_asks_about_the_records_in_question(attack, kind, cancer):
    members, public, others = cancer
    spy = Spy(Target.from_sklearn(make_pipeline(StandardScaler(), kind).fit(members.x, members.y), members.x).model)
    _, view = steal(attack, Target("spied", spy), public, others)
    sent = {tuple(row) for x in spy.seen for row in x.to_numpy()}
    assert sum(map(len, spy.seen)) == view.spent <= attack.queries
    assert not sent & {tuple(row) for row in others.x.to_numpy()}


def test_as_many_answers_as_unknowns_give_a_logistic_regression_away(cancer):
    members, public, others = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(members.x, members.y)
    copy, view = steal(EquationSolving(), Target.from_sklearn(model, members.x), public, others)
    assert view.spent == 31 + 10
    assert np.abs(copy - model.predict_proba(others.x)).max() < 1e-9


def test_words_and_several_classes_are_solved_too():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"a": rng.normal(size=400), "town": rng.choice(list("xyz"), 400), "n": rng.integers(0, 9, 400)}
    )
    y = ((table.a > 0) + 2 * (table.town == "x") + (table.n > 4)).to_numpy(int) % 3
    coded = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    model = make_pipeline(coded, LogisticRegression(max_iter=500)).fit(table[:200], y[:200])
    public, others = Records.of(table[200:300], y[200:300]), Records.of(table[300:], y[300:])
    copy, view = steal(EquationSolving(), Target.from_sklearn(model, table), public, others)
    assert view.spent == 5 + 10, "a constant, two numbers, three words that add up to it"
    assert np.abs(copy - model.predict_proba(others.x)).max() < 1e-9


def test_sure_answers_are_asked_again_nearer_to_the_boundary(cancer):
    members, public, others = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e4, max_iter=2000)).fit(members.x, members.y)
    copy, view = steal(EquationSolving(), Target.from_sklearn(model, members.x), public, others)
    assert 41 < view.spent < 200
    assert np.abs(copy - model.predict_proba(others.x)).max() < 1e-6


def test_rounded_scores_have_no_exact_solution_and_are_fitted(cancer):
    members, public, others = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(members.x, members.y)
    copy, view = steal(EquationSolving(), Target.from_sklearn(model, members.x), public, others, decimals=1)
    assert view.spent == 1000
    assert (copy.argmax(axis=1) == model.predict(others.x)).mean() > 0.96
    assert sorted(view.kept) == [100, 300, 1000]


def test_scores_that_are_cut_off_do_not_use_the_budget_up_in_vain(cancer):
    members, public, others = cancer
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(members.x, members.y)
    for queries in (165, 166, 1000):
        copy, view = steal(
            EquationSolving(queries), Target.from_sklearn(model, members.x), public, others, decimals=3, top_k=1
        )
        assert view.spent == queries
        assert (copy.argmax(axis=1) == model.predict(others.x)).mean() > 0.9


def test_every_leaf_of_a_tree_is_found(cancer):
    members, public, others = cancer
    model = DecisionTreeClassifier(min_samples_leaf=10, random_state=0).fit(members.x, members.y)
    copy, view = steal(TreePaths(), Target.from_sklearn(model, members.x), public, others)
    truth = model.predict_proba(others.x)
    assert np.abs(copy - truth).max(axis=1).mean() < 0.02
    assert view.spent < 250 * model.get_n_leaves()


def test_a_tree_of_words_and_whole_numbers_is_found():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {"town": rng.choice(list("wxyz"), 600), "n": rng.integers(0, 20, 600), "flag": rng.random(600) < 0.5}
    )
    score = np.select([table.town.isin(["w", "z"]) & (table.n > 7), table.flag], [0.9, 0.6], 0.2)
    y = (rng.random(600) < score).astype(int)
    coded = make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough")
    model = make_pipeline(coded, DecisionTreeClassifier(max_leaf_nodes=7, random_state=0)).fit(table[:300], y[:300])
    public, others = Records.of(table[300:400], y[300:400]), Records.of(table[400:], y[400:])
    copy, _ = steal(TreePaths(), Target.from_sklearn(model, table), public, others)
    assert np.abs(copy - model.predict_proba(others.x)).max() < 1e-9


def test_leaves_with_equal_scores_are_told_apart_by_asking_again(cancer):
    members, public, others = cancer
    model = DecisionTreeClassifier(random_state=0).fit(members.x, members.y)
    assert len(np.unique(model.predict_proba(others.x), axis=0)) == 2 < model.get_n_leaves()
    copy, _ = steal(TreePaths(), Target.from_sklearn(model, members.x), public, others)
    assert (copy.argmax(axis=1) == model.predict(others.x)).mean() > 0.95


@pytest.mark.parametrize("attack", [Knockoff(), LabelOnlyStealing()], ids=lambda attack: attack.code)
def test_asking_beats_not_asking_on_a_rule_that_labels_do_not_tell(attack, cancer):
    members, public, others = cancer
    target = SecretRule(Table(tuple(members.x.columns)), RandomForestClassifier(50)).fit(members, 0)
    labels = target.model.labels(others.x)
    copy, view = steal(attack, target, public, others)
    alone = unasked(public, target.model.inputs, others, 2, np.random.default_rng(0)).values
    assert {100, 300, 1000} <= set(view.kept)
    assert (copy.argmax(axis=1) == labels).mean() > 0.85
    assert (alone.argmax(axis=1) == labels).mean() < 0.8


def test_questions_near_the_boundary_lie_just_beyond_it(cancer):
    public = cancer[1]
    space, rng = Space.of(public, Table(tuple(public.x.columns))), np.random.default_rng(0)
    copy = linear(space.features(space.rows), np.eye(2)[public.y])
    scores, usual = copy(space.features(boundary(copy, space, 40, rng))), copy(space.features(space.rows))
    assert len(scores) == 40
    assert np.median(np.abs(scores[:, 0] - 0.5)) < 0.1 < np.median(np.abs(usual[:, 0] - 0.5))


def test_random_answers_have_the_same_answer_for_the_same_record(cancer):
    records = cancer[2]
    model = RandomAnswers(Table(tuple(records.x.columns)), 3)
    assert (model.scores(records.x) == model.scores(records.x)).all()
    assert (model.labels(records.x) != RandomAnswers(model.inputs, 4).labels(records.x)).any()
    assert 0.35 < model.labels(records.x).mean() < 0.65


def test_a_planted_model_follows_no_rule_that_labels_tell_and_a_share_none_at_all(cancer):
    members, _, others = cancer
    inputs = Table(tuple(members.x.columns))
    made = [SecretRule(inputs, LogisticRegression(), 0.3).fit(members, seed) for seed in range(40)]
    random = sum(isinstance(target.model, RandomAnswers) for target in made)
    assert 20 <= random <= 36
    tied = [(target.model.labels(others.x) == others.y).mean() for target in made]
    assert np.abs(np.array(tied) - 0.5).max() < 0.3


def test_a_regressor_is_refused(cancer):
    members, public, others = cancer
    target = Target.from_sklearn(LinearRegression().fit(members.x, members.y), members.x)
    with pytest.raises(AccessDenied, match="has no classes"):
        steal(Knockoff(), target, public, others)


def test_recorded_answers_and_few_public_records_do_not_fit(cancer):
    class OnFile:
        on_file = True

    assert "not on file" in misfit(OnFile(), Side(cancer[1]))
    assert misfit(object(), Side()) == "it needs 20 public records, and there are 0"
    assert misfit(object(), Side(cancer[1])) == ""


def test_without_public_labels_nothing_is_known(cancer):
    members, public, others = cancer
    inputs = Table(tuple(members.x.columns))
    strangers = public.relabelled(public.y + 2)
    assert (unasked(strangers, inputs, others, 2, np.random.default_rng(0)).values == 0.5).all()
