"""The population attack against a literal percentile, and the loss tail against counting by hand."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from safelight.attacks.membership.loss import LossThreshold
from safelight.attacks.membership.population import Population, percentile
from safelight.attacks.membership.tail import LossTail
from safelight.data.records import Records
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel
from safelight.verdict.outcome import of_tail


def test_the_percentile_counts_ties_half():
    population = np.array([3.0, 1.0, 2.0, 2.0])
    got = percentile(np.array([0.0, 1.0, 2.0, 2.5, 9.0]), population)
    literal = [(population < v).mean() + (population == v).mean() / 2 for v in (0.0, 1.0, 2.0, 2.5, 9.0)]
    assert got.tolist() == literal == [0.0, 0.125, 0.5, 0.75, 1.0]


@pytest.fixture(scope="module")
def asked(digits):
    recipe = SklearnRecipe(LogisticRegression(C=10, max_iter=300), Images((1, 8, 8)))
    members, others, public = (digits.take(np.arange(a, b)) for a, b in ((0, 300), (300, 600), (600, 1200)))
    return recipe.fit(members, 0), others, public


def test_its_score_is_one_minus_the_p_value_of_the_population(asked):
    target, others, public = asked
    view = target.view(ThreatModel(Access.SCORES), Side(public))
    score = Population().run(view, WhoWasIn(others), np.random.default_rng(0)).values[:, 0]
    for level in (0.8, 0.9, 0.95):
        assert abs((score > level).mean() - (1 - level)) < 4 * np.sqrt(level * (1 - level) / 300) + 0.01
    assert len(np.unique(score)) > 290, "records beyond all of the population keep their order"
    assert view.spent == 900


def test_a_small_budget_spends_a_quarter_on_the_population(asked):
    target, others, public = asked
    view = target.view(ThreatModel(Access.SCORES, queries=100), Side(public))
    Population().run(view, WhoWasIn(others), np.random.default_rng(0))
    assert view.spent == 100


def test_a_regressor_is_ranked_among_all():
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data.iloc[:, :5], bunch.data.iloc[:, 5].to_numpy())
    from sklearn.tree import DecisionTreeRegressor

    target = SklearnRecipe(DecisionTreeRegressor()).fit(everyone.take(np.arange(200)), 0)
    view = target.view(ThreatModel(Access.SCORES), Side(everyone.take(np.arange(400, 569))))
    score = Population().run(view, WhoWasIn(everyone.take(np.arange(400))), np.random.default_rng(0)).values[:, 0]
    assert score[:200].min() > np.quantile(score[200:], 0.9)


def test_the_tail_keeps_the_lower_half_and_makes_the_upper_equal(asked):
    target, others, _ = asked
    view = target.view(ThreatModel(Access.SCORES))
    tail = LossTail().run(view, WhoWasIn(others), np.random.default_rng(0)).values[:, 0]
    loss = LossThreshold().run(target.view(ThreatModel(Access.SCORES)), WhoWasIn(others), np.random.default_rng(0))
    low = loss.values[:, 0] < np.median(loss.values)
    assert (tail[low] == loss.values[low, 0]).all()
    assert len(np.unique(tail[~low])) == 1


def test_the_tail_measures_nonmembers_below_all_members_but_one_in_100():
    rng = np.random.default_rng(0)
    member = np.repeat([True, False], 500)
    scores = np.where(member, rng.exponential(size=1000), rng.exponential(size=1000) - 1.5 * (rng.random(1000) < 0.3))
    outcome = of_tail(scores, member, 0.01, rng)
    tnr = next(item for item in outcome.measured if item.name == "tnr_at_fnr_0.01")
    sixth = np.sort(scores[member])[5]  # 1 in 100 of 500 is 5
    assert tnr.value == pytest.approx((scores[~member] < sixth).mean())
    assert outcome.p < 1e-6
    assert of_tail(rng.permutation(scores), member, 0.01, rng).p > 0.001
