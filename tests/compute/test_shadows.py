"""Shadow models: complementary halves, each trained once, the same whoever asks, in this process or another."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from torch import nn

from safelight.compute.engine import Engine
from safelight.compute.ledger import Ledger, key_of
from safelight.compute.shadows import ShadowPool, halves
from safelight.data.records import Records
from safelight.defences.training.smoothing import SmoothedCrossEntropy
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

FOREST = SklearnRecipe(RandomForestClassifier(5))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return Records.of(pd.DataFrame(rng.normal(size=(90, 3)), columns=list("abc")), rng.integers(0, 3, 90))


class Counting:
    """A recipe that counts its trainings."""

    key = "counting"

    def __init__(self):
        self.trained = []

    def fit(self, records, seed):
        self.trained.append((len(records), seed))
        return FOREST.fit(records, seed)


def test_every_record_is_in_for_half_of_the_shadows_and_every_class_in_all():
    y = np.repeat([0, 1, 2], [2, 31, 60])
    records = Records.of(np.zeros((93, 1, 1, 1)), y)
    inside = halves(records, 4, np.random.default_rng(0))
    assert (inside.sum(axis=0) == 2).all()
    for mask in inside:
        assert abs(np.bincount(y[mask], minlength=3) - np.array([1, 15.5, 30])).max() <= 1
    assert not np.array_equal(inside[0], inside[2])
    assert np.array_equal(inside, halves(records, 6, np.random.default_rng(0))[:4]), "more shadows keep the first ones"
    odd = halves(records, 3, np.random.default_rng(0))
    assert (~odd).sum(axis=0).min() >= 1


def test_a_class_too_rare_for_two_halves_is_said():
    records = Records.of(np.zeros((5, 1, 1, 1)), np.array([0, 0, 2, 2, 2]))
    with pytest.raises(InputError, match=r"Class number 1 has 0 record\(s\).*give at least two of every class"):
        halves(records, 2, np.random.default_rng(0))


def test_the_same_shadows_are_trained_once_and_more_of_them_only_add(table):
    recipe = Counting()
    pool = ShadowPool(recipe)
    first, inside = pool.answers(table, 4)
    assert first.shape == (4, 90, 3)
    assert [size for size, _ in recipe.trained] == [mask.sum() for mask in inside]
    again, _ = pool.answers(table, 4)
    assert len(recipe.trained) == 4
    assert np.array_equal(first, again)
    more, wider = pool.answers(table, 6)
    assert len(recipe.trained) == 6
    assert np.array_equal(more[:4], first)
    assert np.array_equal(wider[:4], inside)
    other = ShadowPool(Counting(), seed=1)
    assert not np.array_equal(other.answers(table, 4)[1], inside)


def test_a_folder_keeps_them_for_the_next_audit_and_survives_a_torn_file(table, tmp_path):
    recipe = Counting()
    first, _ = ShadowPool(recipe, ledger=Ledger(tmp_path)).answers(table, 4)
    torn = sorted(tmp_path.glob("*.npy"))[0]
    torn.write_bytes(torn.read_bytes()[:50])
    again, _ = ShadowPool(recipe, ledger=Ledger(tmp_path)).answers(table, 4)
    assert len(recipe.trained) == 5, "only the torn one is trained again"
    assert np.array_equal(first, again)
    assert not list(tmp_path.glob("*.partial"))


def test_what_was_computed_otherwise_has_another_key(table):
    assert key_of("a", "b") != key_of("ab")
    recipe = Counting()
    pool = ShadowPool(recipe)
    pool.answers(table, 2)
    pool.answers(table.relabelled((table.y + 1) % 3), 2)
    pool.answers(table, 2, asked=table.take(np.arange(10)))
    assert len(recipe.trained) == 6


def test_two_processes_give_what_one_gives(table):
    one, _ = ShadowPool(FOREST).answers(table, 4)
    two, _ = ShadowPool(FOREST, engine=Engine(jobs=2)).answers(table, 4)
    assert np.array_equal(one, two)


def test_regressors_answer_with_predictions(table):
    records = table.relabelled(table.x["a"].to_numpy() * 2.0)
    answers, _ = ShadowPool(SklearnRecipe(LinearRegression())).answers(records, 2)
    assert answers.shape == (2, 90)
    assert np.allclose(answers, records.y)


def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))


def nested(classes):
    """Layers that change the shape, a layer without bias and one that is used twice."""
    twice = nn.Linear(8, 8)
    part = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Tanh(), twice, nn.Tanh(), twice)
    return nn.Sequential(nn.Flatten(1, 2), part, nn.Flatten(), nn.Linear(64, classes))


class Skipping(nn.Module):
    """What is no chain of layers goes another way."""

    def __init__(self, classes):
        super().__init__()
        self.norm, self.into, self.out = nn.LayerNorm(64), nn.Linear(64, 64), nn.Linear(64, classes)

    def forward(self, x):
        flat = self.norm(x.flatten(1))
        return self.out(flat + torch.relu(self.into(flat)))


def convolution(classes):
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, classes))


@pytest.mark.parametrize("network", [dense, nested, Skipping])
@pytest.mark.parametrize(
    "settings", [{}, {"optimiser": "sgd", "rate": 0.05, "objective": SmoothedCrossEntropy(-0.2), "decay": 1e-3}]
)
def test_stacked_networks_are_those_trained_alone(digits, settings, network):
    records = digits.take(np.arange(201))
    recipe = TorchRecipe(network, Images((1, 8, 8)), **{"epochs": 4, "batch": 25, "rate": 0.02, **settings})
    assert recipe.stacks(records)
    assert not TorchRecipe(convolution, Images((1, 8, 8))).stacks(records)
    inside = halves(records, 4, np.random.default_rng(0))
    assert len(set(inside.sum(axis=1))) == 2, "partners of an odd number differ by one"
    together = recipe.fit_many(records, inside, [3, 4, 5, 6])
    for row, seed, stacked in zip(inside, [3, 4, 5, 6], together):
        alone = recipe.fit(records.take(row), seed)
        assert np.allclose(stacked.model.logits(records.x), alone.model.logits(records.x), atol=1e-4)
    answers, masks = ShadowPool(recipe).answers(records, 4)
    right = (answers.argmax(axis=2) == records.y)[masks].mean()
    assert right > 0.3


def test_half_the_bits_in_products_train_as_well(digits):
    records = digits.take(np.arange(400))
    inside = halves(records, 4, np.random.default_rng(0))
    whole, half = (
        TorchRecipe(dense, Images((1, 8, 8)), epochs=10, rate=0.01, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert whole.key != half.key
    answers = [recipe.fit_many(records, inside, range(4)) for recipe in (whole, half)]
    alone = half.fit(records.take(inside[0]), 0)
    right = [np.mean([(net.model.labels(records.x) == records.y).mean() for net in nets]) for nets in answers]
    assert abs(right[0] - right[1]) < 0.03
    assert right[1] > 0.8
    scores = [target.model.scores(records.x) for target in (answers[0][0], answers[1][0], alone)]
    assert 0 < np.abs(scores[0] - scores[1]).mean() < 0.02
    assert np.abs(scores[2] - scores[1]).mean() < 0.02
    assert all(weights.dtype == torch.float32 for weights in alone.model.module().parameters())
    with pytest.raises(InputError, match="'float16'"):
        TorchRecipe(dense, Images((1, 8, 8)), precision="float16").fit(records, 0)


def test_shadows_on_chosen_records_are_those_that_the_recipe_trains_and_are_kept(table):
    inside = np.random.default_rng(1).random((3, 90)) < 0.5
    asked, recipe = table.take(np.arange(10)), Counting()
    pool = ShadowPool(recipe)
    answers = pool.trained(table, inside, asked)
    assert [count for count, _ in recipe.trained] == inside.sum(axis=1).tolist()
    for row, (_, seed), found in zip(inside, recipe.trained, answers):
        assert np.array_equal(FOREST.fit(table.take(row), seed).model.scores(asked.x), found)
    assert np.array_equal(pool.trained(table, inside[::-1], asked), answers[::-1])
    assert len(recipe.trained) == 3
    pool.trained(table, inside, table)
    assert len(recipe.trained) == 6, "other records are asked of other shadows"


def test_chosen_sets_of_networks_are_stacked(digits):
    records = digits.take(np.arange(200))
    inside = halves(records, 5, np.random.default_rng(0))
    answers = ShadowPool(TorchRecipe(dense, Images((1, 8, 8)), epochs=4, rate=0.02)).trained(records, inside, records)
    assert answers.shape == (5, 200, 10)
    right = answers.argmax(axis=2) == records.y
    assert right[inside].mean() > right[~inside].mean() > 0.3
