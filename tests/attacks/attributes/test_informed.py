"""The informed adversary solves a linear model for its missing record, and says where it cannot."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from safelight.attacks.attributes.informed import InformedAdversary
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhichIsMissing
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side, Table, Target
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

WHITE = ThreatModel(Access.WEIGHTS)
NEWTON = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=500)
RNG = np.random.default_rng(0)


def patients(standardised=True, rows=300, columns=8):
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:rows, :columns].copy()
    if standardised:
        table[:] = StandardScaler().fit_transform(table)
    return Records.of(table, bunch.target.to_numpy()[:rows])


def flowers():
    bunch = load_iris(as_frame=True)
    return Records.of(bunch.data, bunch.target.to_numpy())


def diabetes(counts=False):
    bunch = load_diabetes(as_frame=True)
    return Records.of(bunch.data * 20, np.round(bunch.target / 50) if counts else bunch.target.to_numpy(float))


def without(records, row):
    return WhichIsMissing(records.take(np.arange(len(records)) != row))


def solved(target, records, row, **settings):
    return InformedAdversary(**settings).run(target.view(WHITE), without(records, row), RNG)


def worst(estimator, records, rows=range(0, 100, 5), **settings):
    """Return the median error of rebuilt records (worst column, in deviations) and the share of right labels."""
    target = SklearnRecipe(estimator).fit(records, 0)
    x = records.x.to_numpy(float)
    answers = [(row, solved(target, records, row, **settings)) for row in rows]
    errors = [np.abs((answer.x[0] - x[row]) / x.std(axis=0)).max() for row, answer in answers]
    return np.median(errors), np.mean([abs(answer.y[0] - records.y[row]) < 1e-3 for row, answer in answers])


@pytest.mark.parametrize(
    ("estimator", "records"),
    [
        (NEWTON, patients()),
        (LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=500), patients()),
        (NEWTON, flowers()),
        (make_pipeline(MinMaxScaler(), NEWTON), patients(standardised=False)),
        (LinearRegression(), diabetes()),
        (Ridge(alpha=3.0), diabetes()),
        (PoissonRegressor(alpha=0.1, solver="newton-cholesky", tol=1e-10), diabetes(counts=True)),
    ],
    ids=["two classes", "no penalty", "three classes", "behind a scaler", "least squares", "ridge", "Poisson"],
)
def test_a_model_at_its_minimum_tells_the_whole_record(estimator, records):
    error, labels = worst(estimator, records)
    assert error < 1e-5
    assert labels >= 0.95


def test_it_is_the_sum_over_records_literally():
    records, row = patients(rows=60), 7
    target = SklearnRecipe(NEWTON).fit(records, 0)
    model = target.model.estimator()
    g, g0 = np.zeros(8), 0.0
    for other in range(60):
        if other == row:
            continue
        x = records.x.to_numpy()[other]
        r = 1 / (1 + np.exp(-(model.coef_[0] @ x + model.intercept_[0]))) - records.y[other]
        g, g0 = g - r * x, g0 - r
    g = g - model.coef_[0] / model.C
    answer = solved(target, records, row)
    assert np.allclose(answer.x[0], g / g0, rtol=1e-6)
    assert answer.y[0] == (g0 < 0) == records.y[row]


def test_scikit_learns_default_tolerance_stops_too_early():
    assert worst(LogisticRegression(), patients(columns=30))[0] > 1


def test_the_mean_of_a_scaler_tells_the_record_whatever_the_tolerance():
    loose = make_pipeline(StandardScaler(), LogisticRegression())
    records = patients(standardised=False, columns=30)
    error, labels = worst(loose, records)
    assert error < 1e-9
    assert labels == 1
    assert worst(loose, records, scaler=False)[0] > 1


def test_a_scaler_fitted_on_other_records_tells_nothing():
    records = patients(standardised=False)
    target = SklearnRecipe(make_pipeline(StandardScaler(), NEWTON)).fit(records, 0)
    question = WhichIsMissing(without(records, 0).known.take(np.arange(200)))
    told = InformedAdversary().run(target.view(WHITE), question, RNG)
    assert np.array_equal(told.x, InformedAdversary(scaler=False).run(target.view(WHITE), question, RNG).x)


def test_classes_keep_the_numbers_of_the_target():
    bunch = load_iris(as_frame=True)
    words = np.array(["setosa", "versicolor", "virginica"])[bunch.target]
    fitted = make_pipeline(StandardScaler(), NEWTON).fit(bunch.data, words)
    order = ["virginica", "setosa", "versicolor"]
    target = Target.from_sklearn(fitted, bunch.data, labels=order)
    records = Records.of(bunch.data, np.array([order.index(word) for word in words]))
    for row in (3, 77, 140):
        for scaler in (True, False):
            answer = solved(target, records, row, scaler=scaler)
            assert np.allclose(answer.x[0], bunch.data.to_numpy()[row], atol=1e-4)
            assert answer.y[0] == records.y[row]


def test_a_class_that_was_never_trained_is_skipped():
    records = flowers()
    records = records.take(records.y != 1)
    target = SklearnRecipe(NEWTON).fit(records, 0)
    assert len(target.model.classes) == 3
    answer = solved(target, records, 99)
    assert np.allclose(answer.x[0], records.x.to_numpy()[99], atol=1e-4)
    assert answer.y[0] == 2


def test_pictures_are_rebuilt_too():
    bunch = load_digits(n_class=3)
    records = Records.of(bunch.images[:200, None] / 16, bunch.target[:200])
    inputs = Images((1, 8, 8))
    target = InformedAdversary().planted(inputs).fit(records, 0)
    answer = solved(target, records, 11)
    assert answer.x.shape == (1, 64)
    assert np.abs(answer.x[0] - records.x[11].ravel()).max() < 0.05
    assert answer.y[0] == records.y[11]


def test_nothing_left_over_is_no_division_by_zero():
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 6)), columns=list("abcdef"))
    target = SklearnRecipe(LinearRegression()).fit(Records.of(x, np.zeros(4)), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = solved(target, Records.of(x, np.zeros(4)), 0)
    assert np.isfinite(answer.x).all()


def test_it_sends_nothing():
    records = patients()
    view = SklearnRecipe(NEWTON).fit(records, 0).view(WHITE)
    InformedAdversary().run(view, without(records, 0), RNG)
    assert view.spent == 0


SPLIT_COLUMNS = make_column_transformer((StandardScaler(), ["mean radius"]), remainder="passthrough")


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (RandomForestClassifier(3), "it solves LogisticRegression, .*, and the target is a RandomForestClassifier"),
        (LogisticRegression(fit_intercept=False), "from the intercept, and the LogisticRegression has none"),
        (LogisticRegression(solver="liblinear"), "liblinear penalises the intercept"),
        (LogisticRegression(l1_ratio=1, solver="saga", max_iter=10), "L1 penalty has no gradient"),
        (LogisticRegression(class_weight="balanced"), "class weights are not undone"),
        (Ridge(positive=True), "forced to be positive"),
        (make_pipeline(SPLIT_COLUMNS, LogisticRegression()), "its step ColumnTransformer cannot be undone"),
    ],
    ids=["forest", "no intercept", "liblinear", "L1", "class weights", "positive", "encoder"],
)
@pytest.mark.filterwarnings("ignore:.*converge.*")
def test_what_has_no_closed_form_is_refused(estimator, reason):
    records = patients()
    target = SklearnRecipe(estimator).fit(records, 0)
    assert InformedAdversary().misfit(target.model, Side())
    with pytest.raises(AccessDenied, match=f"nothing to solve: .*{reason}"):
        solved(target, records, 0)


def test_other_models_and_words_are_refused():
    records = patients()
    fake = LeakyRecipe(Images((1, 2, 2)), pictures=True).fit(Records.of(np.zeros((2, 1, 2, 2)), [0, 1]), 0)
    assert "no scikit-learn model" in InformedAdversary().misfit(fake.model, Side())
    with pytest.raises(AccessDenied, match="is no scikit-learn model"):
        solved(fake, records, 0)
    spoken = make_pipeline(OneHotEncoder(), NEWTON)
    words = Records.of(pd.DataFrame({"ward": ["north", "south"] * 20}), np.arange(40) % 2)
    with pytest.raises(InputError, match="the column 'ward' holds none"):
        solved(SklearnRecipe(spoken).fit(words, 0), words, 0)


@pytest.mark.parametrize("leak", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("regression", [False, True])
def test_the_planted_leak_has_the_size_it_says(leak, regression):
    records = diabetes().take(np.arange(80)) if regression else patients(rows=80)
    recipe = InformedAdversary().planted(Table(tuple(records.x.columns)), leak)
    exact = 0
    for seed in range(60):
        answer = solved(recipe.fit(records, seed), records, 5)
        exact += np.abs(answer.x[0] - records.x.to_numpy()[5]).max() < 1e-2
    assert abs(exact - 60 * leak) <= (12 if 0 < leak < 1 else 0)
