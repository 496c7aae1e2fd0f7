"""BiDO: the dependence measure against sums over records, which layers count, and a price that they feel."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.bido import Bido, gaussian, same, share
from safelight.errors import InputError
from safelight.recipes.objective import CrossEntropy, Step
from safelight.recipes.sklearn import SklearnRecipe


def dependence(one, two):
    return float((share(one) * share(two)).sum().detach())


def literal(k, labels):
    """tr(R S) by inverses in double precision, from kernels that are lists."""
    shares = []
    for kernel in (np.array(k), np.array(labels)):
        m = len(kernel)
        centre = np.eye(m) - np.ones((m, m)) / m
        centred = centre @ kernel @ centre
        shares.append(centred @ np.linalg.inv(centred + 1e-5 * m * np.eye(m)))
    return np.trace(shares[0] @ shares[1])


def test_dependence_is_its_formula():
    u = torch.rand(7, 3, generator=torch.Generator().manual_seed(0))
    labels = [0, 1, 2, 0, 0, 1, 2]
    rows = u.tolist()
    k = [[math.exp(-sum((a - b) ** 2 for a, b in zip(x, y)) / (2 * 0.8**2 * 3)) for y in rows] for x in rows]
    equal = [[float(a == b) for b in labels] for a in labels]
    ours = dependence(gaussian(u, 0.8), same(torch.tensor(labels)))
    assert ours == pytest.approx(literal(k, equal), rel=1e-3)
    assert torch.equal(same(torch.eye(3)[labels]), same(torch.tensor(labels)))


def test_independence_is_little_and_dependence_is_much():
    u, v = (torch.randn(150, 1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    apart, together = dependence(gaussian(u, 1), gaussian(v, 1)), dependence(gaussian(u, 1), gaussian(u**3, 1))
    assert together > 4 * apart > 0
    assert dependence(gaussian(v, 1), gaussian(u, 1)) == pytest.approx(apart, rel=1e-2)


def test_the_loss_counts_what_reaches_each_later_layer(plain):
    net = plain.module(10)
    images, labels = torch.rand(12, 1, 8, 8), torch.arange(12) % 10
    step = Step(net, images, labels, 0, 1, torch.Generator())
    ours = float(Bido(hide=0.7, show=2.0, sigma=1.5)(plain).objective(step).detach())
    first = net[2](net[1](images.flatten(1)))
    second = net[4](net[3](first))
    expected = float(CrossEntropy()(step).detach())
    for layer in (first, second):
        expected += 0.7 * dependence(gaussian(images, 1.5), gaussian(layer, 1.5))
        expected -= 2.0 * dependence(gaussian(layer, 1.5), same(labels))
    assert ours == pytest.approx(expected, rel=1e-3)
    assert not any(part._forward_pre_hooks for part in net.modules())


def test_no_strength_is_the_plain_model(brief, noisy):
    one, two = (recipe.fit(noisy.members, 0).model for recipe in (brief, Bido(hide=0, show=0)(brief)))
    np.testing.assert_allclose(one.scores(noisy.public.x), two.scores(noisy.public.x), atol=1e-5)


def test_a_price_on_the_picture_makes_layers_depend_less_on_it(plain, noisy):
    found = {}
    for hide in (0.0, 1.0):
        net = Bido(hide=hide, show=0.0, sigma=1.0)(plain).fit(noisy.members, 0).model.module()
        images = torch.as_tensor(noisy.public.x[:200])
        found[hide] = dependence(gaussian(images, 1.0), gaussian(net[:5](images), 1.0))
    assert found[1.0] < found[0.0] / 2


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match=r"Bilateral dependency \(BiDO\) changes the loss of a torch training"):
        Bido()(SklearnRecipe(LogisticRegression()))
