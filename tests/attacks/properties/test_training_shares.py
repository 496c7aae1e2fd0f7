"""Property inference: sets of the right shares, features that are as said, and a share told where it shows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from safelight.attacks.properties.shares import TrainingShares, judged, sets, spread
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.properties import PropertyCoins
from safelight.data.records import Records, Splits
from safelight.errors import InputError
from safelight.evidence import WhichShare
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.tallying import TallyingRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel

QUESTION = WhichShare("smokes", "yes", np.array([0.3, 0.5]))


def survey(seed: int, n: int = 1500, tied: bool = True) -> Records:
    """Return people whose answer goes with smoking, or with nothing."""
    rng = np.random.default_rng(seed)
    smokes = rng.random(n) < 0.4
    x = pd.DataFrame({"age": rng.integers(20, 80, n), "smokes": np.where(smokes, "yes", "no")})
    return Records.of(x, (rng.random(n) < np.where(smokes & tied, 0.8, 0.3)).astype(int))


def blind() -> SklearnRecipe:
    """Return a recipe of models that do not read the column."""
    read = make_column_transformer(("drop", ["smokes"]), remainder="passthrough")
    return SklearnRecipe(make_pipeline(read, LogisticRegression()))


def guesses(records: Records, recipe: SklearnRecipe, runs: int) -> Guesses:
    splits = Splits(records.take(np.arange(700)), public=records.take(np.arange(700, len(records))))
    coins, total, pool = PropertyCoins("smokes", "yes"), Guesses(0, 0, 0, 2), ShadowPool(recipe)
    for run in range(runs):
        rng = np.random.default_rng([run, 4])
        draw = coins.flip(splits, rng)
        view = recipe.fit(draw.train, run).view(ThreatModel(Access.SCORES), Side(splits.public, pool))
        answer = TrainingShares(references=24).run(view, draw.question, rng)
        total = total + guess(draw.match(answer), draw.secret, coins.share, rng)
    return total


def test_every_set_holds_its_share_and_all_are_of_one_size():
    records, share = survey(0), np.arange(6) % 2
    inside = sets(records, QUESTION, share, np.random.default_rng(0))
    assert len(set(inside.sum(axis=1))) == 1
    size = inside[0].sum()
    holding = (records.x["smokes"] == "yes").to_numpy()
    assert size == min(int(holding.sum() / 0.5), int((~holding).sum() / 0.7)) * 2 // 3
    for row, wanted in zip(inside, QUESTION.shares[share]):
        assert holding[row].sum() == round(wanted * size)
    assert not np.array_equal(inside[0], inside[2])


def test_features_are_the_answers_and_their_order():
    answers = np.random.default_rng(0).random((3, 5, 2))
    found = spread(answers)
    for row, model in zip(found, answers):
        assert np.array_equal(row[:10], model.ravel())
        assert np.array_equal(row[10:].reshape(5, 2), np.column_stack([sorted(column) for column in model.T]))
    assert spread(answers[:, :, 0]).shape == (3, 10)


def test_a_judge_learns_from_shadows_alone():
    rng = np.random.default_rng(0)
    share = np.arange(40) % 2
    shadows = rng.normal(size=(40, 30)) + 2.0 * share[:, None] * (np.arange(30) < 5)
    shadows[:, 7] = 1.0
    said = judged(np.array([[2.0] * 5 + [0.0] * 25, [0.0] * 30]), shadows, share)
    assert np.allclose(np.exp(said).sum(axis=1), 1)
    assert said.argmax(axis=1).tolist() == [1, 0]


def test_a_share_shows_in_models_that_lack_a_column_which_goes_with_the_label():
    total = guesses(survey(1), blind(), 20)
    assert total.right >= 18


def test_a_share_that_goes_with_nothing_is_not_told():
    total = guesses(survey(2, tied=False), blind(), 60)
    assert 18 <= total.right <= 42  # 99.8 % of binomial(60, 1/2)


def test_of_models_that_count_half_the_time_three_in_four_are_told():
    recipe = TallyingRecipe(0.5)
    total = guesses(survey(3, tied=False), recipe, 100)
    assert 62 <= total.right <= 88  # 99.7 % of binomial(100, 3/4)


def test_regressors_are_asked_for_predictions():
    records = survey(4)
    real = replace(records, y=records.y + 0.1 * records.x["age"].to_numpy())
    recipe = TallyingRecipe(1.0)
    view = recipe.fit(real, 0).view(ThreatModel(Access.SCORES), Side(real, ShadowPool(recipe)))
    assert TrainingShares(references=8).run(view, QUESTION, np.random.default_rng(0)).values.shape == (1, 2)


def test_shadows_are_trained_once_and_probes_are_none_of_theirs():
    class Watching:
        key = "watching"

        def __init__(self):
            self.sets = []

        def fit(self, records, seed):
            self.sets.append(records)
            return blind().fit(records, seed)

    records, recipe = survey(5), Watching()
    target = blind().fit(records, 0)
    asked = []
    pool = ShadowPool(recipe)
    for seed in range(2):
        view = target.view(ThreatModel(Access.SCORES), Side(records, pool))
        asked.append(TrainingShares(references=8).run(view, QUESTION, np.random.default_rng(seed)).values)
        assert view.spent == 500
    assert len(recipe.sets) == 8
    assert np.array_equal(*asked)
    assert len(np.unique(np.concatenate([each.ids for each in recipe.sets]))) <= 1000


@pytest.mark.parametrize(("change", "words"), [
    ({"column": "drinks"}, "The public records have no column 'drinks'"),
    ({"value": "never"}, "allow sets of 0 with shares 0.3 and 0.5 of 'never' in 'smokes'"),
])  # fmt: skip
def test_public_records_that_do_not_do_are_said(change, words):
    records = survey(6)
    view = blind().fit(records, 0).view(ThreatModel(Access.SCORES), Side(records, ShadowPool(blind())))
    with pytest.raises(InputError, match=words):
        TrainingShares().run(view, replace(QUESTION, **change), np.random.default_rng(0))


def test_a_class_that_the_public_records_lack_is_said():
    records = survey(7)
    target = blind().fit(records.relabelled(np.arange(len(records)) % 3), 0)
    view = target.view(ThreatModel(Access.SCORES), Side(records, ShadowPool(blind())))
    with pytest.raises(InputError, match="kept for shadow models, hold 2 of 3 classes"):
        TrainingShares().run(view, QUESTION, np.random.default_rng(0))
