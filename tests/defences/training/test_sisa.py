"""SISA: forgetting is as if one had never been there, and only the shard in question is trained again."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from safelight.data.records import Records
from safelight.defences.training.sisa import Sisa, shard_of
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import Access, ThreatModel

SHAPE = Images((1, 8, 8))
FOREST = SklearnRecipe(RandomForestClassifier(5), SHAPE)


@dataclass(frozen=True)
class Counted:
    """A recipe that counts its trainings."""

    recipe: SklearnRecipe
    trained: list = field(default_factory=list)
    key: str = "counted"

    def fit(self, records, seed):
        self.trained.append(len(records))
        return self.recipe.fit(records, seed)


def test_a_shard_depends_on_the_id_alone():
    ids = np.array(["ann", "bob", "cyd", "dan"])
    whole, some = shard_of(ids, 7, 3), shard_of(ids[[2, 0]], 7, 3)
    assert some.tolist() == whole[[2, 0]].tolist()
    counts = np.bincount(shard_of(np.arange(5000), 5, 0), minlength=5)
    assert counts.min() > 900
    assert not np.array_equal(shard_of(np.arange(50), 5, 0), shard_of(np.arange(50), 5, 1))


def test_forgetting_is_as_if_one_had_never_been_there(digits):
    some = digits.take(np.arange(400))
    counted = Counted(FOREST)
    before = Sisa(5).sharded(counted, some, 2)
    ids = [3, 17, 250]
    touched = {int(shard) for shard in shard_of(np.array(ids), 5, 2)}
    counted.trained.clear()
    after = before.forget(ids)
    assert len(counted.trained) == len(touched) < 5
    assert all(after.parts[shard] is before.parts[shard] for shard in set(range(5)) - touched)
    never = Sisa(5).sharded(FOREST, some.take(~np.isin(some.ids, ids)), 2)
    np.testing.assert_array_equal(after.target.model.scores(digits.x), never.target.model.scores(digits.x))
    assert not np.array_equal(before.target.model.scores(digits.x), never.target.model.scores(digits.x))


def test_answers_are_the_mean_of_the_shards(digits, brief):
    some = digits.take(np.arange(300))
    for recipe in (FOREST, brief):
        whole = Sisa(3).sharded(recipe, some, 0)
        scores = np.mean([part.model.scores(digits.x) for part in whole.parts.values()], axis=0)
        model = whole.target.model
        np.testing.assert_allclose(model.scores(digits.x), scores)
        np.testing.assert_array_equal(model.labels(digits.x), scores.argmax(axis=1))
    view = whole.target.view(ThreatModel(Access.GRADIENTS))
    images = torch.as_tensor(digits.x[:20]).requires_grad_(True)
    logits = view.differentiable(images)
    np.testing.assert_allclose(logits.exp().detach().numpy(), scores[:20], atol=1e-5)
    assert torch.autograd.grad(logits.sum(), images)[0].abs().sum() > 0


def test_a_regressor_answers_with_the_mean(patients):
    numbers = Records.of(patients.x.drop(columns=["insurer"]), patients.x["mean area"].to_numpy() / 7)
    whole = Sisa(3).sharded(SklearnRecipe(RandomForestRegressor(5)), numbers, 0)
    answers = np.mean([part.model.labels(numbers.x) for part in whole.parts.values()], axis=0)
    np.testing.assert_allclose(whole.target.model.labels(numbers.x), answers)
    assert whole.target.model.classes == ()


def test_one_shard_trains_on_everybody(digits):
    counted = Counted(FOREST)
    Sisa(1)(counted).fit(digits, 0)
    assert counted.trained == [len(digits)]


def test_an_empty_shard_goes(digits):
    whole = Sisa(4).sharded(FOREST, digits.take(np.arange(60)), 0)
    shard = int(whole.of[0])
    after = whole.forget(whole.records.ids[whole.of == shard])
    assert shard not in after.parts
    assert len(after.parts) == len(whole.parts) - 1


def test_what_cannot_be_done_is_said(digits):
    whole = Sisa(2).sharded(FOREST, digits.take(np.arange(40)), 0)
    with pytest.raises(InputError, match="no record with the id 999 to forget; give ids"):
        whole.forget([1, 999])
    with pytest.raises(InputError, match="All 40 records are to be forgotten; delete the model"):
        whole.forget(range(40))
    with pytest.raises(InputError, match="all of one class, and cannot train a classifier; use fewer shards"):
        Sisa(30)(SklearnRecipe(LogisticRegression(), SHAPE)).fit(digits.take(np.arange(40)), 0)
