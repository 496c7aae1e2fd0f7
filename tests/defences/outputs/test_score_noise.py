"""Noise on scores: what it is, what it promises, and who averages it away."""

import builtins
import math

import numpy as np
import pytest
from scipy.stats import kstest, norm
from scipy.stats import laplace as laplace_law
from sklearn.linear_model import LinearRegression, LogisticRegression

from safelight.data.records import Records
from safelight.defences.base import defence_of
from safelight.defences.outputs.consistent import ConsistentNoise, as_probabilities
from safelight.defences.outputs.noise import Mechanism, ScoreNoise, opendp
from safelight.errors import InputError, MissingExtra
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import ThreatModel

ROW = np.array([0.5, 0.3, 0.2])
KEY = np.array([12345], dtype=np.uint64)
LINEAR = SklearnRecipe(LogisticRegression(C=0.1, max_iter=300), Images((1, 8, 8)))


@pytest.fixture
def dp():
    pytest.importorskip("opendp")
    return opendp()


@pytest.mark.parametrize("mechanism", list(Mechanism))
def test_the_noise_follows_its_law(dp, mechanism):
    values = np.array(ScoreNoise(0.3, mechanism).measurement()([0.5] * 4000)) - 0.5
    law = {Mechanism.LAPLACE: laplace_law, Mechanism.GAUSSIAN: norm}[mechanism]
    assert kstest(values, law(scale=0.3).cdf).pvalue > 1e-6  # the system's generator takes no seed


@pytest.mark.parametrize("mechanism", list(Mechanism))
@pytest.mark.parametrize("queries", [1, 2, 50])
def test_what_is_spent_is_what_opendp_composes(dp, mechanism, queries):
    defence = ScoreNoise(0.7, mechanism)
    together = dp.c.make_composition([defence.measurement()] * queries)
    if mechanism is Mechanism.LAPLACE:
        assert defence.spent(queries) == pytest.approx(together.map(2.0)) == pytest.approx(2 / 0.7 * queries)
    else:
        curve = dp.c.make_zCDP_to_approxDP(together).map(math.sqrt(2))
        assert defence.spent(queries, 1e-5) == pytest.approx(curve.epsilon(1e-5), rel=1e-9)
        rho = queries / 0.7**2
        assert defence.spent(queries, 1e-5) <= rho + 2 * math.sqrt(rho * math.log(1e5))


def test_no_query_costs_nothing_and_the_sensitivities_are_those_of_probabilities(dp):
    assert ScoreNoise().spent(0) == 0
    one, other = np.eye(3)[:2]
    assert (np.abs(one - other).sum(), np.linalg.norm(one - other)) == (2, math.sqrt(2))
    rows = np.random.default_rng(0).dirichlet(np.ones(3), (2, 1000))
    assert np.abs(rows[0] - rows[1]).sum(axis=1).max() <= 2
    assert np.linalg.norm(rows[0] - rows[1], axis=1).max() <= math.sqrt(2)


def test_two_answers_are_told_apart_no_better_than_promised(dp):
    """The best test between two opposite answers is right in e^epsilon / (1 + e^epsilon) of the tries at most."""
    defence, tries = ScoreNoise(2.0), 4000
    answers = [defence.harden(np.tile(row, (tries, 1)), np.zeros(tries, np.uint64)) for row in np.eye(2)]
    ahead = [np.sign(each[:, 0] - each[:, 1]).mean() for each in answers]  # a tie is half right
    right = 0.5 + (ahead[0] - ahead[1]) / 4
    assert right <= math.e / (1 + math.e) + 0.03
    assert right > 0.6  # and the bound is no empty one


def test_answers_are_probabilities_and_nearly_no_noise_is_the_plain_model(dp, digit_splits):
    target, x = LINEAR.fit(digit_splits.members, 0), digit_splits.nonmembers.x
    hardened = ScoreNoise(0.3)(target).view(ThreatModel())
    scores = hardened.scores(x)
    assert scores.min() >= 0
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores.argmax(axis=1) != target.model.labels(x)).any()
    assert (hardened.labels(x) != target.model.labels(x)).any()  # no label without noise leaves the server
    np.testing.assert_allclose(ScoreNoise(1e-9)(target).model.scores(x), target.model.scores(x), atol=1e-6)
    assert ScoreNoise().harden(np.empty((0, 3)), np.empty(0, np.uint64)).shape == (0, 3)


def test_a_row_with_nothing_left_is_uniform():
    rows = as_probabilities(np.array([[-1.0, -2.0], [3.0, 0.5], [-1.0, 0.2]]))
    np.testing.assert_allclose(rows, [[0.5, 0.5], [2 / 3, 1 / 3], [0, 1]])


def test_averaging_repeats_takes_fresh_noise_away_and_leaves_consistent_noise(dp):
    repeats = np.tile(ROW, (100, 1))
    same, near = np.repeat(KEY, 100), np.arange(100, dtype=np.uint64)
    fresh, consistent = ScoreNoise(0.04), ConsistentNoise(0.08)

    def error(defence, key):
        return np.abs(defence.harden(repeats, key).mean(axis=0) - ROW).sum()

    assert error(fresh, same) < 0.06
    one = np.abs(consistent.harden(ROW[None], KEY) - ROW).sum()
    assert error(consistent, same) == pytest.approx(one)
    assert one > 0.06
    assert error(consistent, near) < one / 2  # inputs that differ in the last digit


def test_a_nearly_equal_input_has_noise_of_its_own(digit_splits):
    target, x = LINEAR.fit(digit_splits.members, 0), digit_splits.nonmembers.x[:1]
    noisy = ConsistentNoise(0.08, secret=5)(target).model
    near = np.clip(x + 1e-6 * np.arange(100, dtype=np.float32)[:, None, None, None], 0, 1)
    truth = target.model.scores(x)
    assert np.array_equal(noisy.scores(x), noisy.scores(x))
    assert np.array_equal(noisy.labels(x), noisy.scores(x).argmax(axis=1))
    assert np.abs(noisy.scores(near).mean(axis=0) - truth).sum() < np.abs(noisy.scores(x) - truth).sum() / 2


def test_an_attacker_s_models_draw_from_other_secrets(digit_splits):
    recipe, x = ConsistentNoise(0.2)(LINEAR), digit_splits.nonmembers.x[:20]
    one, again, other = (recipe.fit(digit_splits.members, seed).model for seed in (0, 0, 1))
    assert np.array_equal(one.scores(x), again.scores(x))
    assert np.abs(one.scores(x) - other.scores(x)).mean() > 0.01  # logistic regression itself is the same for each seed


def test_what_cannot_be_is_refused(monkeypatch, patients):
    for defence in (ScoreNoise, ConsistentNoise):
        with pytest.raises(InputError, match=r"scale is 0; use a number above 0"):
            defence(scale=0)
    with pytest.raises(InputError, match="secret is -1; use a whole number"):
        ConsistentNoise(secret=-1)
    with pytest.raises(InputError, match="queries is -1"):
        ScoreNoise().spent(-1)
    with pytest.raises(InputError, match="delta is 0"):
        ScoreNoise().spent(1, 0)
    assert defence_of("score-noise", {"mechanism": "gaussian"}).mechanism is Mechanism.GAUSSIAN
    table = patients.x[patients.x.columns[:2]]
    regressor = SklearnRecipe(LinearRegression()).fit(Records.of(table, table.iloc[:, 0].to_numpy()), 0)
    for defence in (ScoreNoise(), ConsistentNoise()):
        with pytest.raises(InputError, match="a regressor has none; use output-policy"):
            defence(regressor)
    real = builtins.__import__

    def missing(name, *args, **options):
        if name.startswith("opendp"):
            raise ImportError
        return real(name, *args, **options)

    opendp.cache_clear()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"safelight\[outputs\]"):
        opendp()
