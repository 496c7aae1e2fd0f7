"""Transfer learning: what is frozen holds nothing of the members, the head is theirs, the public training is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from safelight.defences.training import transfer
from safelight.defences.training.layers import head_of, weighted
from safelight.defences.training.transfer import TransferLearning
from safelight.errors import InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

SHAPE = Images((1, 8, 8))


class Normed(nn.Module):
    """Its layers are named in another order than an image meets them."""

    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(16, classes)
        self.second = nn.Sequential(nn.Linear(32, 16), nn.ReLU())
        self.norm = nn.BatchNorm1d(32)
        self.first = nn.Linear(64, 32)

    def forward(self, images):
        return self.head(self.second(torch.relu(self.norm(self.first(images.flatten(1))))))


RECIPE = TorchRecipe(Normed, SHAPE, epochs=4, rate=3e-3)


def state(target):
    return target.model.module().state_dict()


def test_layers_come_in_the_order_of_an_image():
    net = Normed(10)
    assert [name for name, _ in weighted(net, SHAPE)] == ["first", "norm", "second.0", "head"]
    assert head_of(net, SHAPE) == ("head", net.head)
    assert net.training
    assert not net.first._forward_pre_hooks


def test_frozen_layers_hold_nothing_of_the_members(noisy):
    recipe = TransferLearning(noisy.public, frozen=0.67)(RECIPE)
    ours, theirs = state(recipe.fit(noisy.members, 0)), state(recipe.fit(noisy.nonmembers, 0))
    still = {name for name in ours if torch.equal(ours[name], theirs[name])}
    norm = {f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
    assert still == {"first.weight", "first.bias", *norm}
    public = RECIPE.fit(noisy.public, 0)
    assert all(torch.equal(ours[name], state(public)[name]) for name in still)


def test_nothing_frozen_moves_everything_and_all_frozen_leaves_the_head(noisy):
    public = state(RECIPE.fit(noisy.public, 0))
    moved = {
        frozen: {
            name for name, value in state(recipe.fit(noisy.members, 0)).items() if not torch.equal(value, public[name])
        }
        for frozen in (0.0, 1.0)
        for recipe in [TransferLearning(noisy.public, frozen=frozen)(RECIPE)]
    }
    assert moved[0.0] == set(public)
    assert moved[1.0] == {"head.weight", "head.bias"}


def test_public_records_bring_their_own_classes(noisy):
    few = noisy.public.take(noisy.public.y < 4)
    target = TransferLearning(few, frozen=0.5)(RECIPE).fit(noisy.members, 1)
    assert len(target.model.classes) == 10
    again = TransferLearning(few, frozen=0.5)(RECIPE).fit(noisy.members, 1)
    np.testing.assert_array_equal(target.model.scores(few.x), again.model.scores(few.x))


def test_the_public_training_is_made_once(noisy):
    transfer._lesson.cache_clear()
    recipe = TransferLearning(noisy.public)(RECIPE)
    first, again = (state(recipe.fit(noisy.members, 3)) for _ in range(2))
    assert transfer._lesson.cache_info().misses == 1
    assert all(torch.equal(first[name], again[name]) for name in first), "what is kept must not be trained on"
    TransferLearning(noisy.public, seed=1)(RECIPE).fit(noisy.members, 3)
    TransferLearning(noisy.public)(replace(RECIPE, epochs=1)).fit(noisy.members, 3)
    assert transfer._lesson.cache_info().misses == 3


def test_less_is_learnt_by_heart(plain, noisy, leak, plain_leak):
    assert (leak(TransferLearning(noisy.public, frozen=1.0)(plain), noisy) < plain_leak - 0.1).all()


def test_what_it_cannot_work_with_is_said(noisy):
    with pytest.raises(InputError, match="Transfer learning has no public records to work with; set public"):
        TransferLearning()(RECIPE).fit(noisy.members, 0)
    wide = replace(noisy.public, x=np.zeros((len(noisy.public), 1, 9, 9), np.float32))
    with pytest.raises(InputError, match=r"images \(1, 9, 9\)\) for members that are images \(1, 8, 8\); give some"):
        TransferLearning(wide)(RECIPE).fit(noisy.members, 0)
    with pytest.raises(InputError, match="changes the layers of a torch training"):
        TransferLearning()(SklearnRecipe(LogisticRegression()))
    with pytest.raises(InputError, match="has no linear layer"):
        head_of(nn.Conv2d(1, 1, 3), SHAPE)
