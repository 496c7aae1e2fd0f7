"""The peak of a network at a record that it learnt by heart, beside the same sum written out."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.attacks.attributes.csmia import Csmia
from safelight.attacks.attributes.neuron import NeuronPeak
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import guess
from safelight.data.records import Records, Splits
from safelight.errors import AccessDenied
from safelight.recipes.memorising import MemorisingNetwork
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side, Table
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

WHITE = ThreatModel(Access.WEIGHTS)
pytestmark = pytest.mark.filterwarnings("ignore:.*converge.*")


def run(attack, target, question, seed=0):
    return attack.run(target.view(WHITE), question, np.random.default_rng(seed))


def numbers_only(records):
    return Records(records.x.drop(columns="region"), records.y, records.ids)


def test_it_is_the_log_ratio_to_the_neighbours_literally(help):
    records, _ = help.survey(40, seed=1)
    records = numbers_only(records)
    target = SklearnRecipe(make_pipeline(StandardScaler(), MLPClassifier(8, max_iter=200))).fit(records, 0)
    attack = NeuronPeak(neighbours=3, distance=0.5, smoothing=0.02)
    got = run(attack, target, help.asked(records), seed=5).values
    scaler, network = (step for _, step in target.model.estimator().steps)
    noise = np.random.default_rng(5).standard_normal((3, 40, 3))
    points = {value: scaler.transform(records.x.assign(smoker=value)) for value in (0, 1)}
    deviation = np.concatenate([points[0], points[1]]).std(axis=0)
    for row in range(40):
        belief = []
        for value in (0, 1):
            sure = network.predict_proba(points[value][[row]])[0, records.y[row]]
            near = []
            for draw in range(3):
                moved = points[value][row] + 0.5 * deviation * noise[draw, row]
                near.append(network.predict_proba(moved[None])[0, records.y[row]])
            belief.append(np.log(sure + 0.02) - np.log(np.mean(near) + 0.02))
        assert np.allclose(got[row], np.array(belief) - np.mean(belief))


def test_a_learnt_record_is_told_better_than_by_its_scores_alone(help):
    """On 600 records of which half the values are drawn by a coin, pooled over three networks."""
    peak = scores = 0
    for seed in range(3):
        records, _ = help.survey(600, seed=seed)
        draw = AttributeCoins("smoker").flip(Splits(numbers_only(records)), np.random.default_rng(seed))
        network = MLPClassifier(64, max_iter=400, tol=0, n_iter_no_change=400, learning_rate_init=0.01)
        target = SklearnRecipe(make_pipeline(StandardScaler(), network)).fit(draw.train, seed)
        for attack in (NeuronPeak(), Csmia()):
            answer = run(attack, target, draw.question)
            right = guess(answer.values, draw.secret, 1.0, np.random.default_rng(0)).right
            peak, scores = (peak + right, scores) if attack.code == "A007" else (peak, scores + right)
    assert binom.sf(peak - 1, 450, 0.5) < 1e-4
    assert peak > scores, (peak, scores)


@pytest.mark.parametrize("leak", [0.5, 1.0])
def test_a_planted_leak_has_no_more_than_its_size(help, leak):
    records, secret = help.survey(200, seed=3)
    target = NeuronPeak().planted(Table(tuple(records.x.columns)), leak).fit(records, 0)
    right = (run(NeuronPeak(), target, help.asked(records)).values.argmax(axis=1) == secret).sum()
    high = binom.ppf(1 - 1e-3, 200, leak + (1 - leak) / 2)
    assert right <= high
    assert right >= 120


def test_a_regression_network_gives_the_secret_away_too(help):
    records, secret = help.survey(200, seed=4)
    noisy = numbers_only(records).relabelled(np.random.default_rng(0).normal(size=200))
    target = MemorisingNetwork().fit(noisy, 0)
    assert target.model.classes == ()
    answer = run(NeuronPeak(), target, help.asked(noisy))
    right, guesses = help.surest(answer, secret)
    assert right >= 0.8 * guesses


def test_one_hot_columns_and_words_are_opened(help):
    values = ("daily", "never", "rarely")
    records, secret = help.survey(240, seed=10, values=values)
    target = MemorisingNetwork().fit(records, 0)
    answer = run(NeuronPeak(), target, help.asked(records, values))
    right, guesses = help.surest(answer, secret)
    assert answer.values.shape == (240, 3)
    assert right >= 0.7 * guesses


def test_a_label_that_the_network_never_met_says_nothing(help):
    records, _ = help.survey(120, seed=6)
    target = MemorisingNetwork().fit(records.take(records.y != 1), 0)
    assert (run(NeuronPeak(), target, help.asked(records.take(records.y == 1))).values == 0).all()


def test_a_network_without_a_pipeline_hears_no_warning(help):
    records, _ = help.survey(60, seed=7)
    records = numbers_only(records)
    target = SklearnRecipe(MLPRegressor(hidden_layer_sizes=4, max_iter=20)).fit(
        records.relabelled(records.y.astype(float)), 0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = run(NeuronPeak(), target, help.asked(records.relabelled(records.y.astype(float))))
    assert np.isfinite(answer.values).all()


def test_it_sends_nothing(help):
    records, _ = help.survey(60, seed=8)
    view = MemorisingNetwork().fit(records, 0).view(WHITE)
    NeuronPeak().run(view, help.asked(records), np.random.default_rng(0))
    assert view.spent == 0


def test_models_that_are_no_networks_are_refused(help):
    records, _ = help.survey(60, seed=9)
    records = numbers_only(records)
    forest = SklearnRecipe(RandomForestClassifier(3)).fit(records, 0)
    assert "the target is a RandomForestClassifier" in NeuronPeak().misfit(forest.model, Side())
    with pytest.raises(AccessDenied, match=r"reads neurons: .* the target is a RandomForestClassifier"):
        run(NeuronPeak(), forest, help.asked(records))
    fake = LeakyRecipe(forest.model.inputs, pictures=False).fit(records, 0)
    assert "no scikit-learn model" in NeuronPeak().misfit(fake.model, Side())


def test_the_recipe_that_learns_by_heart_keeps_all_classes_and_its_share():
    x = pd.DataFrame({"q": np.arange(300.0), "s": np.arange(300) % 2})
    y = np.where(np.arange(300) == 7, 2, np.random.default_rng(0).integers(0, 2, 300))
    target = MemorisingNetwork(leak=0.1).fit(Records.of(x, y), 1)
    assert len(target.model.classes) == len(target.model.estimator().classes_) == 3
    assert (MemorisingNetwork(leak=0.1).key, MemorisingNetwork().key) == (
        "memorising-network-0.1-256", "memorising-network-1-256"
    )  # fmt: skip
