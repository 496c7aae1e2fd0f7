"""Recipes: the same records and seed give the same model; the number of classes follows the records."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from torch import nn

from safelight.errors import InputError
from safelight.recipes.base import Recipe, StartsUntrained
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

SHAPE = Images((1, 8, 8))


def small(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, classes))


def recipes():
    forest = make_pipeline(RandomForestClassifier(5))
    return [TorchRecipe(small, SHAPE, epochs=2), SklearnRecipe(forest, SHAPE), FunctionRecipe(fit_forest, SHAPE)]


def fit_forest(records, seed):
    return RandomForestClassifier(5, random_state=seed).fit(records.x.reshape(len(records), -1), records.y)


@pytest.mark.parametrize("number", range(3))
def test_the_seed_decides_and_nothing_else(digits, number):
    recipe = recipes()[number]
    assert isinstance(recipe, Recipe)
    first, again, other = (recipe.fit(digits.take(np.arange(300)), seed).model.scores(digits.x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("number", range(3))
def test_three_classes_make_a_model_of_three_classes(digits, number):
    target = recipes()[number].fit(digits.take(digits.y < 3), 0)
    assert len(target.model.classes) == 3


def test_a_pipeline_gets_the_seed_in_every_step(patients):
    forest = make_pipeline(OrdinalEncoder(), RandomForestClassifier(5))
    recipe = SklearnRecipe(forest)
    one, two = recipe.fit(patients, 4).model.scores(patients.x), recipe.fit(patients, 4).model.scores(patients.x)
    np.testing.assert_array_equal(one, two)
    assert forest.get_params()["randomforestclassifier__random_state"] is None, "the user's own object is left alone"


def test_training_learns_and_starting_weights_do_not_know_anything(digits):
    recipe = TorchRecipe(small, SHAPE, epochs=8)
    assert isinstance(recipe, StartsUntrained)
    assert (recipe.fit(digits, 0).model.labels(digits.x) == digits.y).mean() > 0.8
    assert (recipe.untrained(digits, 0).model.labels(digits.x) == digits.y).mean() < 0.3


def test_keys_tell_recipes_apart():
    keys = {TorchRecipe(small, SHAPE, epochs=epochs).key for epochs in (1, 2)}
    assert len(keys) == 2
    assert TorchRecipe(small, SHAPE).key == TorchRecipe(small, SHAPE).key


def test_an_unknown_optimiser_is_refused(digits):
    with pytest.raises(InputError, match="'lion'"):
        TorchRecipe(small, SHAPE, optimiser="lion").fit(digits, 0)  # type: ignore[arg-type]


def test_the_key_of_a_function_follows_its_whole_file(tmp_path):
    import importlib.util

    from safelight.recipes.function import FunctionRecipe

    def key(helper: str) -> str:
        path = tmp_path / "training.py"
        path.write_text(f"def helper():\n    return {helper}\n\n\ndef fit(records, seed):\n    return helper()\n")
        spec = importlib.util.spec_from_file_location("training", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return FunctionRecipe(module.fit).key

    assert key("1") == key("1")
    assert key("1") != key("2"), "what a training calls changes what it trains"


def test_the_key_of_a_long_pipeline_is_not_shortened():
    from sklearn.ensemble import VotingClassifier
    from sklearn.tree import DecisionTreeClassifier

    def key(leaf: int) -> str:
        trees = [(f"tree{n}", DecisionTreeClassifier(max_depth=n + 1, min_samples_leaf=5)) for n in range(30)]
        trees[15] = ("tree15", DecisionTreeClassifier(max_depth=16, min_samples_leaf=leaf))
        return SklearnRecipe(VotingClassifier(trees)).key

    assert key(5) == key(5)
    assert key(5) != key(6)
