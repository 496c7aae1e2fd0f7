"""Private linear models: how far minimisers move, the odds of objective perturbation in numbers, and what is learnt."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from safelight.data.records import Records
from safelight.defences.training import private_glm
from safelight.defences.training.dp_linear import DpLinear
from safelight.errors import InputError
from safelight.measures.gaussian_dp import delta_of_mu, mu_of_epsilon
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

BUNCH = load_breast_cancer(as_frame=True)
HIGHS = BUNCH.data.max()  # of a public table: the tests' stand-in for an owner's own fixed numbers
TABLE = Records.of(BUNCH.data / HIGHS, BUNCH.target)
TRAIN, TEST = TABLE.take(np.arange(0, 400)), TABLE.take(np.arange(400, 569))
LOGISTIC = SklearnRecipe(LogisticRegression())


def accuracy(target, records):
    return (target.model.labels(records.x) == records.y).mean()


@pytest.mark.parametrize("classes", [2, 4])
def test_one_record_more_moves_the_minimiser_by_at_most_the_bound(classes):
    rng = np.random.default_rng(0)
    worst = 0.0
    for penalty in (0.1, 3.0):
        for _ in range(15):
            n = int(rng.integers(1, 12))
            rows = private_glm.with_one(private_glm.clipped(rng.normal(size=(n, 3)) * 3, 2.0))
            y = rng.integers(0, classes, n)
            more = private_glm.logistic(rows, y, classes, np.sqrt(5.0), penalty)
            less = private_glm.logistic(rows[1:], y[1:], classes, np.sqrt(5.0), penalty)
            worst = max(worst, np.linalg.norm(more - less) / private_glm.movement(classes, np.sqrt(5.0), penalty))
    assert 0.1 < worst <= 1.0


def test_half_of_the_bound_is_reached_and_more_by_softmax():
    """A record alone under a strong penalty: its slope is that of even odds."""
    row, y = np.array([[2.0]]), np.array([0])
    for classes, reached in ((2, 0.5), (4, np.sqrt(0.75 / 2))):
        empty = private_glm.logistic(row[:0], y[:0], classes, 2.0, 1e4)
        moved = np.linalg.norm(private_glm.logistic(row, y, classes, 2.0, 1e4) - empty)
        assert moved / private_glm.movement(classes, 2.0, 1e4) == pytest.approx(reached, rel=0.01)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_minimiser_is_that_of_scikit_learn(classes):
    rng = np.random.default_rng(1)
    rows, y = rng.normal(size=(80, 4)), rng.integers(0, classes, 80)
    found = private_glm.logistic(rows, y, classes, 0.01, 2.0)
    theirs = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10, max_iter=5000).fit(rows, y).coef_
    assert found == pytest.approx(theirs, abs=1e-4)


def test_rows_are_shortened_to_the_bound():
    found = private_glm.clipped(np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), 1.0)
    assert found == pytest.approx(np.array([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))


def densities(rows, y, penalty, scale, grid, pure):
    """The exact density of the minimiser on a grid, one weight: push density times slope of the push."""
    sign = 2 * y - 1
    slopes = -(sign * rows * expit(-sign * grid[:, None] * rows)).sum(1) + penalty * grid
    curvature = (rows**2 * expit(grid[:, None] * rows) * expit(-grid[:, None] * rows)).sum(1) + penalty
    push = np.exp(-np.abs(slopes) / scale) / (2 * scale) if pure else (
        np.exp(-(slopes**2) / (2 * scale**2)) / (scale * np.sqrt(2 * np.pi)))  # fmt: skip
    return push * curvature


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
@pytest.mark.parametrize("pure", [False, True])
def test_the_odds_of_objective_perturbation_keep_the_promise(epsilon, pure):
    """Both directions, by integrals of the exact densities; the worst case uses up a good part of the promise."""
    delta, longest = (0.0 if pure else 1e-3), 1.5
    rng, grid, worst = np.random.default_rng(2), np.linspace(-400, 400, 400_001), 0.0
    for factor in (1.0, 5.0):
        penalty = factor * private_glm.least_penalty(epsilon, longest)
        most = epsilon * (1 - private_glm.ASIDE) - private_glm.volume(longest, penalty)
        scale = longest / most if pure else longest / mu_of_epsilon(most, delta * (1 - private_glm.ASIDE) / 2)
        for n in (0, 1, 6):
            rows, y = rng.choice([-1, 1], n) * longest, rng.integers(0, 2, n)
            span = grid * max(scale, 1.0) / penalty / 20
            without = densities(rows, y, penalty, scale, span, pure)
            found = densities(np.append(rows, longest), np.append(y, 1), penalty, scale, span, pure)
            step = span[1] - span[0]
            assert without.sum() * step == pytest.approx(1, abs=1e-3)
            for one, other in ((without, found), (found, without)):
                if pure:
                    there = (one > 1e-200) & (other > 1e-200)
                    worst = max(worst, np.log(one[there] / other[there]).max() / epsilon)
                else:
                    worst = max(worst, np.maximum(one - np.exp(epsilon) * other, 0).sum() * step / delta)
    assert worst <= 1.0
    assert worst > (0.6 if pure else 1e-4)


def test_the_noise_has_the_scale_of_the_promise():
    rng = np.random.default_rng(0)
    drawn = private_glm.noise((20000,), 3.0, 2.0, 1e-4, rng)
    assert delta_of_mu(3.0 / drawn.std(), 2.0) == pytest.approx(1e-4, rel=0.15)
    lengths = [np.linalg.norm(private_glm.noise((4,), 3.0, 2.0, 0.0, rng)) for _ in range(4000)]
    assert np.mean(lengths) == pytest.approx(4 * 3.0 / 2.0, rel=0.05)


def test_with_a_huge_epsilon_it_is_the_plain_model_with_a_regularised_intercept():
    rows = private_glm.with_one(TRAIN.x.to_numpy())
    plain = private_glm.logistic(rows, TRAIN.y, 2, 1.0, 5.0)
    for objective in (True, False):
        target = DpLinear(1e7, bound=20.0, penalty=5.0, objective=objective)(LOGISTIC).fit(TRAIN, 0)
        assert target.model.fitted.coef_ == pytest.approx(plain[:, :-1], abs=0.02)
        assert target.model.fitted.intercept_ == pytest.approx(plain[:, -1], abs=0.02)


@pytest.mark.parametrize(("objective", "delta"), [(True, 1e-5), (True, 0.0), (False, 1e-5), (False, 0.0)])
def test_two_classes_are_learnt(objective, delta):
    defence = DpLinear(8.0, delta, bound=3.0, penalty=None if objective else 5.0, objective=objective)
    found = [accuracy(defence(LOGISTIC).fit(TRAIN, seed), TEST) for seed in range(3)]
    assert np.mean(found) > (0.75 if delta else 0.6)
    target = defence(LOGISTIC).fit(TRAIN, 0)
    assert np.array_equal(target.model.scores(TEST.x), defence(LOGISTIC).fit(TRAIN, 0).model.scores(TEST.x))
    assert target.model.scores(TEST.x).sum(1) == pytest.approx(np.ones(len(TEST)))


def test_images_of_many_classes_are_learnt_and_their_range_is_the_bound():
    digits = load_digits()
    images = Records.of(digits.images[:, None] / 16, digits.target)
    train, test = images.take(np.arange(0, 1200)), images.take(np.arange(1200, 1797))
    recipe = SklearnRecipe(LogisticRegression(), Images((1, 8, 8)))
    assert accuracy(DpLinear(8.0, penalty=50.0)(recipe).fit(train, 0), test) > 0.7
    assert DpLinear()._bound(recipe) == 8.0


def test_a_regression_comes_from_noisy_sums():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4000, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * rng.normal(size=4000)
    records = Records.of(pd.DataFrame(x, columns=["a", "b", "c"]), y)
    for model in (Ridge(1.0), LinearRegression()):
        defence = DpLinear(2.0, bound=2.0, largest=4.0)
        target = defence(SklearnRecipe(model)).fit(records, 0)
        assert target.model.fitted.coef_ == pytest.approx([1.0, -2.0, 0.5], abs=0.25)
        assert target.model.labels(records.x) == pytest.approx(y, abs=0.9)
    exact = private_glm.ridge(private_glm.with_one(x), y, np.sqrt(5), 4.0, 1.0, 1e9, 1e-5, rng)
    plain = private_glm.with_one(x)
    assert exact == pytest.approx(np.linalg.solve(plain.T @ plain + np.eye(4), plain.T @ y), abs=2e-3)
    with pytest.raises(InputError, match=r"needs largest, .* they are None and 1e-05; give both"):
        DpLinear(2.0, bound=2.0)(SklearnRecipe(Ridge())).fit(records, 0)


def test_no_record_moves_the_sums_by_more_than_is_hidden():
    rng = np.random.default_rng(0)
    both = np.column_stack(
        [private_glm.clipped(rng.normal(size=(500, 3)) * 5, 2.0), np.clip(rng.normal(size=500) * 5, -4, 4)]
    )
    moved = [np.linalg.norm(np.triu(np.outer(z, z))) for z in both]
    assert max(moved) <= 2.0**2 + 4.0**2
    assert np.linalg.norm(np.triu(np.outer([0, 0, 4.0], [0, 0, 4.0]))) == 16.0


def test_pipelines_go_where_no_step_learns():
    halved = make_pipeline(FunctionTransformer(lambda x: x * 0.5), LogisticRegression())
    target = DpLinear(8.0, bound=1.5)(SklearnRecipe(halved)).fit(TRAIN, 0)
    assert accuracy(target, TEST) > 0.75
    with pytest.raises(InputError, match="StandardScaler, which learns from the private records"):
        DpLinear()(SklearnRecipe(make_pipeline(StandardScaler(), LogisticRegression())))
    with pytest.raises(InputError, match="the model is a RandomForestClassifier; give one of these"):
        DpLinear()(SklearnRecipe(RandomForestClassifier()))


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match="needs bound, the largest norm of a row"):
        DpLinear()(LOGISTIC).fit(TRAIN, 0)
    with pytest.raises(InputError, match=r"a penalty of 0.01 leaves nothing of epsilon 1 .* use at least"):
        DpLinear(1.0, bound=3.0, penalty=0.01)(LOGISTIC).fit(TRAIN, 0)
    with pytest.raises(InputError, match="C = inf sets none; give a penalty above 0"):
        DpLinear(bound=1.0, objective=False)(SklearnRecipe(LogisticRegression(C=np.inf))).fit(TRAIN, 0)
    with pytest.raises(InputError, match="All 5 records are of one class"):
        DpLinear(bound=1.0)(LOGISTIC).fit(TRAIN.take(np.arange(5)).relabelled(np.zeros(5, int)), 0)
    with pytest.raises(InputError, match=r"delta is 0.01, more than one over the 400 records"):
        DpLinear(delta=0.01, bound=1.0)(LOGISTIC).fit(TRAIN, 0)
    words = Records.of(pd.DataFrame({"a": ["x", "y"] * 20}), np.arange(40) % 2)
    with pytest.raises(InputError, match="some hold words; encode them with fixed categories"):
        DpLinear(bound=1.0)(LOGISTIC).fit(words, 0)
    with pytest.raises(InputError, match="The minimum was not found"):
        private_glm.logistic(np.full((50, 1), 1e8), np.arange(50) % 2, 2, 1.0, 1e-12, push=1e12)


def test_the_guarantee_says_where_the_noise_is():
    found = DpLinear(2.0, objective=False).guarantee(LOGISTIC, 400)
    assert (found.epsilon, found.delta, found.adjacency, found.unit) == (2.0, 1e-5, "add-remove", "record")
    assert delta_of_mu(1 / found.sigma, 2.0) == pytest.approx(1e-5, rel=1e-6)
    assert "the weights" in found.how
    assert "sums of products" in DpLinear().guarantee(SklearnRecipe(Ridge()), 400).how
