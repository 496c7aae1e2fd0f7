"""Mixup: the loss against a literal blend, the share's distribution, and less learnt by heart."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.mixup import MixedCrossEntropy, Mixup
from safelight.errors import InputError
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe


def test_images_and_labels_are_blended_alike():
    images, labels = torch.rand(4, 1, 2, 2), torch.tensor([0, 2, 1, 2])
    weights = torch.rand(4, 3)
    seen = []

    def net(batch):
        seen.append(batch)
        return batch.flatten(1) @ weights

    ours = float(MixedCrossEntropy(1.0)(Step(net, images, labels, 0, 1, torch.Generator().manual_seed(3))))
    # Which share and which partners were drawn is read off the blends.
    rng = torch.Generator().manual_seed(3)
    share = np.random.default_rng(int(torch.randint(2**31, (), generator=rng))).beta(1.0, 1.0)
    partners = torch.randperm(4, generator=rng).tolist()
    total = 0.0
    for one, other in enumerate(partners):
        blend = share * images[one] + (1 - share) * images[other]
        assert torch.allclose(seen[0][one], blend)
        target = [share * (k == labels[one]) + (1 - share) * (k == labels[other]) for k in range(3)]
        logits = (blend.flatten() @ weights).tolist()
        whole = sum(math.exp(value) for value in logits)
        total -= sum(float(t) * math.log(math.exp(value) / whole) for t, value in zip(target, logits))
    assert ours == pytest.approx(total / 4, abs=1e-5)


def test_no_strength_is_the_plain_recipe(plain):
    assert Mixup(0.0)(plain) is plain
    assert Mixup(0.5)(plain).key != plain.key


def test_less_is_learnt_by_heart(plain, noisy, leak, plain_leak):
    assert (leak(Mixup(1.0)(plain), noisy) < plain_leak - 0.03).all()


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match="Mixup changes the loss of a torch training"):
        Mixup()(SklearnRecipe(LogisticRegression()))
