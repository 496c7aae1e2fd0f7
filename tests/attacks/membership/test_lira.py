"""LiRA and BaVarIA against literal, record-by-record versions of their formulas, and what shadows teach them."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from safelight.attacks.membership.bavaria import prediction
from safelight.attacks.membership.lira import Lira, Variance, gaussian, offline_deviation, online_ratio
from safelight.attacks.membership.references import views_of
from safelight.attacks.membership.signal import signal
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel


@pytest.fixture(scope="module")
def drawn():
    """Signals of 12 shadows for 40 records with means and spreads of their own; a record in moves by 1.5."""
    rng = np.random.default_rng(0)
    inside = np.zeros((12, 40), bool)
    for pair in range(0, 12, 2):
        inside[pair] = rng.random(40) < 0.5
        inside[pair + 1] = ~inside[pair]
    shadows = rng.normal(rng.normal(0, 2, 40), rng.uniform(0.5, 1.5, 40), (12, 40)) + 1.5 * inside
    return rng.normal(size=40), shadows, inside


def literal_spread(shadows, chosen, record, fixed):
    own = shadows[chosen[:, record], record]
    if not fixed:
        return own.mean(), own.std(ddof=1)
    squares, freedom = 0.0, 0
    for other in range(shadows.shape[1]):
        values = shadows[chosen[:, other], other]
        squares, freedom = squares + ((values - values.mean()) ** 2).sum(), freedom + len(values) - 1
    return own.mean(), math.sqrt(squares / freedom)


@pytest.mark.parametrize("fixed", [True, False])
def test_the_online_ratio_is_that_of_two_gaussians(drawn, fixed):
    target, shadows, inside = drawn
    got = online_ratio(target, shadows, inside, fixed)
    for record in range(40):
        first = literal_spread(shadows, inside, record, fixed)
        second = literal_spread(shadows, ~inside, record, fixed)
        expected = math.log(norm.pdf(target[record], *first) / norm.pdf(target[record], *second))
        assert got[record] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("fixed", [True, False])
def test_the_offline_score_orders_records_as_the_one_sided_probability(drawn, fixed):
    target, shadows, inside = drawn
    got = offline_deviation(target, shadows, inside, fixed)
    paper = [norm.cdf(target[i], *literal_spread(shadows, ~inside, i, fixed)) for i in range(40)]
    assert np.allclose(norm.cdf(got), paper)
    far = offline_deviation(target + 50, shadows, inside, fixed)
    assert len(np.unique(far)) == 40, "probabilities near 1 would tie"


def test_a_record_with_one_shadow_takes_the_spread_of_all():
    shadows, chosen = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 9.0]]), np.array([[1, 1], [1, 0], [1, 0]], bool)
    mean, spread = gaussian(shadows, chosen, fixed=False)
    assert np.allclose(mean, [2.0, 1.0])
    assert np.allclose(spread, [2.0, 2.0])


def test_the_bayesian_prediction_is_the_posterior_students_t(drawn):
    target, shadows, inside = drawn
    got = prediction(shadows, inside, 0.1, 2.0).logpdf(target)
    means = np.array([shadows[inside[:, i], i].mean() for i in range(40)])
    pooled = literal_spread(shadows, inside, 0, True)[1] ** 2
    for i in range(40):
        x = shadows[inside[:, i], i]
        n, mean, centre = len(x), x.mean(), means.mean()
        k, a = 0.1 + n, 2.0 + n / 2
        b = (2.0 - 1) * pooled + 0.5 * ((x - mean) ** 2).sum() + 0.1 * n * (mean - centre) ** 2 / (2 * k)
        place = (0.1 * centre + n * mean) / k
        assert got[i] == pytest.approx(t.logpdf(target[i], 2 * a, place, math.sqrt(b * (k + 1) / (a * k))), abs=1e-9)


def bayesian(target, shadows, inside):
    into, out = (prediction(shadows, side, 0.1, 2.0) for side in (inside, ~inside))
    return into.logpdf(target) - out.logpdf(target)


def test_many_shadows_make_all_three_agree():
    rng = np.random.default_rng(1)
    inside = np.arange(4000)[:, None] % 2 == np.zeros(30, int)
    shadows = rng.normal(0, 1, (4000, 30)) + 2 * inside
    target = rng.normal(size=30)
    fixed, own = online_ratio(target, shadows, inside, True), online_ratio(target, shadows, inside, False)
    bayes = bayesian(target, shadows, inside)
    assert np.allclose(fixed, own, atol=0.6)
    assert np.allclose(own, bayes, atol=0.05)


def test_pure_noise_gives_no_attack_anything():
    """In-counts among shadows must not tell: every record is in for exactly half of them."""
    rng = np.random.default_rng(2)
    aucs = []
    for _ in range(20):
        inside = np.zeros((8, 400), bool)
        for pair in range(0, 8, 2):
            inside[pair, rng.permutation(400)[:200]] = True
            inside[pair + 1] = ~inside[pair]
        noise, member = rng.normal(size=(9, 400)), rng.random(400) < 0.5
        for score in (
            online_ratio(noise[0], noise[1:], inside, True),
            bayesian(noise[0], noise[1:], inside),
        ):
            aucs += [roc_auc_score(member, score)]
    assert abs(np.mean(aucs) - 0.5) < 0.02


def test_signals_of_regressors_stay_finite_and_rise_with_the_fit():
    labels = np.array([1.0, 2.0, 3.0])
    got = signal(np.array([[1.0, 2.5, 5.0], [1.1, 2.0, 3.0]]), labels, 0)
    assert np.isfinite(got).all()
    assert got[0, 0] > got[0, 1] > got[0, 2]


def test_a_coarse_model_is_never_surer_than_half_a_step():
    forest = np.array([[[0.0, 1.0], [0.4, 0.6], [0.1, 0.9 + 1e-16]]])
    labels = np.array([1, 1, 1])
    assert np.allclose(signal(forest, labels, 2)[0], np.log([1 / 0.05, 0.6 / 0.4, 0.9 / 0.1]))
    network = np.array([[[1e-11, 1 - 1e-11], [0.0, 1.0], [0.2, 0.8]]])
    assert np.allclose(signal(network, labels, 2)[0], np.log([1e11, 1e30, 4]), rtol=1e-3)


def test_settings_that_cannot_work_are_said():
    from safelight.attacks.configure import check, configured

    assert configured("M003", {"variance": "per record"}).variance is Variance.PER_RECORD
    with pytest.raises(InputError, match="references is 2; it must be at least 4"):
        check(Lira(references=2))


def test_views_are_the_picture_itself_mirrored_and_moved_each_way(digits):
    some = digits.take(np.arange(5))
    views = views_of(some, 10)
    assert (views[0].x == some.x).all()
    assert (views[1].x == some.x[..., ::-1]).all()
    moved = {(-1, 1): views[2], (-2, 1): views[4], (-1, -1): views[6], (-2, -1): views[8]}
    for (axis, shift), view in moved.items():
        rolled = np.roll(some.x, -shift, axis)
        inner = [slice(None)] * 4
        inner[axis] = slice(None, -1) if shift > 0 else slice(1, None)
        assert (view.x[tuple(inner)] == rolled[tuple(inner)]).all()
    assert (views[3].x == views_of(some, 4)[3].x).all()
    assert all((view.y == some.y).all() for view in views)
    assert len({view.x.tobytes() for view in views}) == 10


def test_several_views_cost_as_many_queries_and_average_the_ratios(digits):
    recipe = SklearnRecipe(LogisticRegression(C=100, max_iter=200), Images((1, 8, 8)))
    question = WhoWasIn(digits.take(np.arange(60)))
    side = Side(digits.take(np.arange(200, 320)), ShadowPool(recipe))
    view = recipe.fit(digits.take(np.arange(30)), 0).view(ThreatModel(Access.SCORES, queries=100), side)
    scores = Lira(references=4, views=3).run(view, question, np.random.default_rng(0)).values
    assert view.spent == 99, "33 records fit into 100 queries"
    assert len(np.unique(scores)) == 33, "the others have the median, which is one of the 33"


def test_a_table_has_one_view():
    import pandas as pd

    table = Records.of(pd.DataFrame({"a": [1, 2]}), [0, 1])
    with pytest.raises(InputError, match=r"views is 2, and a row of a table has one view; leave it at 1\."):
        views_of(table, 2)
