"""Adversarial training: the ascent on a model whose worst change is known, what it buys, and what it costs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from safelight.defences.training.adversarial import AdversarialTraining, Worsened
from safelight.errors import InputError
from safelight.recipes.objective import CrossEntropy, Step
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

SHAPE = Images((1, 8, 8))


def test_on_a_linear_model_the_worst_change_is_the_sign_of_the_weights():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    weights = torch.tensor([[3.0, -1.0, 2.0, -5.0], [0.0, 0.0, 0.0, 0.0]])
    net[1].weight.data = weights
    images = torch.tensor([[0.5, 0.5, 0.05, 0.5], [0.5, 0.5, 0.5, 0.97]]).reshape(2, 1, 2, 2)
    step = Step(net, images, torch.tensor([0, 1]), 0, 1, torch.Generator().manual_seed(0))
    worst = Worsened(CrossEntropy(), Images((1, 2, 2)), 0.1, 5).worst(step).flatten(1)
    expected = torch.tensor([[0.4, 0.6, 0.0, 0.6], [0.6, 0.4, 0.6, 0.87]])
    assert torch.allclose(worst, expected, atol=1e-6)
    assert net[1].weight.grad is None, "the ascent leaves nothing behind in the weights"


def test_the_bound_is_a_share_of_the_range():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images = torch.full((3, 1, 2, 2), 100.0)
    step = Step(net, images, torch.tensor([0, 1, 0]), 0, 1, torch.Generator())
    worst = Worsened(CrossEntropy(), Images((1, 2, 2), 0, 255), 0.1, 4).worst(step)
    assert float((worst - images).abs().max()) == pytest.approx(25.5)


def test_no_strength_is_the_plain_recipe(plain):
    assert AdversarialTraining(bound=0.0)(plain) is plain


def alikeness(model, records):
    """Cosine of a class's input gradient with how its mean picture differs from the others', a mean over classes."""
    found = []
    for label in range(10):
        images = torch.as_tensor(records.x[:200]).requires_grad_(True)
        logits = model.differentiable(images)
        (slope,) = torch.autograd.grad((logits[:, label] - logits.mean(1)).sum(), images)
        typical = records.x[records.y == label].mean(0) - records.x.mean(0)
        found.append(np.corrcoef(slope.mean(0).numpy().ravel(), typical.ravel())[0, 1])
    return np.mean(found)


def robust(model, records):
    """Accuracy on pictures changed against the model."""
    step = Step(model.net, torch.as_tensor(records.x), torch.as_tensor(records.y), 0, 1, torch.Generator())
    return (model.labels(Worsened(CrossEntropy(), SHAPE, 0.1, 10).worst(step).numpy()) == records.y).mean()


def test_it_resists_small_changes_and_its_gradients_show_the_class(plain, noisy, digits):
    recipe = replace(plain, epochs=10)
    clean = digits.take(np.arange(1000, 1500))
    for seed in range(3):
        open_model = recipe.fit(noisy.public, seed).model
        robust_model = AdversarialTraining(0.1, 2)(recipe).fit(noisy.public, seed).model
        assert robust(robust_model, clean) > robust(open_model, clean) + 0.1
        assert alikeness(robust_model, clean) > alikeness(open_model, clean) + 0.1


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match="Adversarial training changes the pictures of a torch training"):
        AdversarialTraining()(SklearnRecipe(LogisticRegression()))
