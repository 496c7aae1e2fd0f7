"""RelaxLoss: each pass against the algorithm one record at a time, and what it does to members."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.relaxloss import RelaxedCrossEntropy, RelaxLoss
from safelight.errors import InputError
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe

LOGITS, LABELS = [[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], [0, 1]


def literal(alpha, logits, labels, epoch):
    scores = [[math.exp(value) / sum(map(math.exp, row)) for value in row] for row in logits]
    loss = -sum(math.log(row[label]) for row, label in zip(scores, labels)) / len(labels)
    if epoch % 2 == 0:
        return loss - alpha if loss > alpha else alpha - loss
    if loss > alpha:
        return loss
    total = 0.0
    for row, label in zip(scores, labels):
        for number, score in enumerate(row):
            target = row[label] if number == label else (1 - row[label]) / (len(row) - 1)
            total -= target * math.log(score)
    return total / len(labels)


def ours(alpha, logits, labels, epoch):
    step = Step(lambda images: images, logits, torch.tensor(labels), epoch, 10, torch.Generator())
    return RelaxedCrossEntropy(alpha)(step)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("epoch", [0, 1])
def test_the_loss_is_the_algorithm(alpha, epoch):
    loss = float(ours(alpha, torch.tensor(LOGITS), LABELS, epoch))
    assert loss == pytest.approx(literal(alpha, LOGITS, LABELS, epoch), abs=1e-5)


def test_below_the_level_it_goes_up_or_flattens():
    logits = torch.tensor(LOGITS, requires_grad=True)
    (up,) = torch.autograd.grad(ours(5.0, logits, LABELS, 0), logits)
    (down,) = torch.autograd.grad(ours(0.0, logits, LABELS, 0), logits)
    assert torch.allclose(up, -down)
    (flat,) = torch.autograd.grad(ours(5.0, logits, LABELS, 1), logits)
    assert torch.allclose(flat[[0, 1], LABELS], torch.zeros(2), atol=1e-6), "the true class keeps its score"
    assert float(flat[1, 2]) > 0 > float(flat[1, 0]), "the largest wrong class falls, the smallest rises"


def test_networks_trained_together_are_told_apart():
    both = torch.tensor([LOGITS, [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]])
    together = ours(1.0, both, [LABELS, LABELS], 1)
    alone = [float(ours(1.0, one, LABELS, 1)) for one in both]
    np.testing.assert_allclose(together.tolist(), alone, atol=1e-6)


def test_a_level_of_nothing_is_the_plain_model(brief, noisy):
    one, two = (recipe.fit(noisy.members, 0).model for recipe in (brief, RelaxLoss(0.0)(brief)))
    np.testing.assert_allclose(one.scores(noisy.public.x), two.scores(noisy.public.x), atol=1e-5)


def test_members_keep_about_this_loss_and_are_told_apart_less(plain, noisy, leak, plain_leak):
    recipe = RelaxLoss(1.0)(plain)
    scores = recipe.fit(noisy.members, 0).model.scores(noisy.members.x)
    assert -np.log(scores[np.arange(200), noisy.members.y]).mean() == pytest.approx(1.0, abs=0.4)
    assert (leak(recipe, noisy) < plain_leak - 0.05).all()


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match="RelaxLoss changes the loss of a torch training"):
        RelaxLoss()(SklearnRecipe(LogisticRegression()))
