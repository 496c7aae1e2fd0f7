"""MID: the divergence against an integral, noise only while training, a price that the code feels."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.mid import Mid
from safelight.defences.training.smoothing import LabelSmoothing
from safelight.errors import InputError
from safelight.recipes.bottleneck import Bottleneck, nats
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe


def test_what_a_code_tells_is_its_divergence_from_noise():
    def integrand(z):
        return norm.pdf(z, 0.7, 0.4) * (norm.logpdf(z, 0.7, 0.4) - norm.logpdf(z))

    expected = quad(integrand, -10, 10)[0]
    ours = nats(torch.tensor([0.7, 0.0]), torch.tensor([2 * math.log(0.4), 0.0]))
    assert float(ours) == pytest.approx(expected, abs=1e-5)


def test_the_code_is_noisy_only_while_training():
    layer = Bottleneck(5, torch.nn.Linear(8, 3))
    features = torch.rand(200, 8)
    assert not torch.equal(layer(features), layer(features))
    told = nats(layer.mean(features), layer.log_variance(features)).mean()
    assert float(layer.told.detach()) == pytest.approx(float(told.detach()))
    expected = layer.head(layer.mean(features))
    assert torch.equal(layer.eval()(features), expected)


def test_the_price_is_added_to_whatever_the_recipe_lowers(plain, noisy):
    recipe = Mid(beta=0.3)(LabelSmoothing(0.2)(plain))
    net = recipe.build(noisy.members, 0)
    step = Step(net, torch.rand(6, 1, 8, 8), torch.arange(6), 0, 1, torch.Generator())
    torch.manual_seed(5)
    whole = float(recipe.objective(step).detach())
    torch.manual_seed(5)
    rest = float(LabelSmoothing(0.2)(plain).objective(step).detach())
    told = next(part.told for part in net.modules() if isinstance(part, Bottleneck))
    assert whole == pytest.approx(rest + 0.3 * float(told.detach()), abs=1e-5)


def test_a_higher_price_leaves_a_code_that_tells_less(plain, noisy):
    told = []
    for beta in (0.0, 0.01, 1.0):
        net = Mid(beta=beta)(plain).fit(noisy.members, 0).model.module()
        net.train()(torch.as_tensor(noisy.members.x))
        told.append(next(float(part.told) for part in net.modules() if isinstance(part, Bottleneck)))
    assert told[0] > 3 * told[1] > 10 * told[2]


def test_the_seed_decides(brief, noisy):
    one, two, other = (Mid()(brief).fit(noisy.members, seed).model.scores(noisy.public.x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert len({Mid()(brief).key, Mid(beta=0.1)(brief).key, Mid(size=8)(brief).key, brief.key}) == 4


def test_the_trained_network_can_be_copied(brief, noisy):
    net = Mid()(brief).fit(noisy.members, 0).model.module()
    images = torch.as_tensor(noisy.public.x[:9])
    assert torch.equal(deepcopy(net)(images), net(images))


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match=r"Information bottleneck \(MID\) changes the last layer of a torch training"):
        Mid()(SklearnRecipe(LogisticRegression()))
