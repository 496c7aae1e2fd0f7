"""Label smoothing: the loss term by term, when the negative kind begins, and what no smoothing leaves."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.training.smoothing import LabelSmoothing, SmoothedCrossEntropy, ramp
from safelight.errors import InputError
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe


def loss(alpha, logits, labels, epoch, epochs=100):
    step = Step(lambda images: images, torch.tensor(logits), torch.tensor(labels), epoch, epochs, torch.Generator())
    return float(SmoothedCrossEntropy(alpha)(step))


def literal(alpha, logits, labels):
    """Cross-entropy towards (1 - alpha) on the label and alpha / classes on every class, one number at a time."""
    total = 0.0
    for row, label in zip(logits, labels):
        whole = sum(math.exp(value) for value in row)
        for number, value in enumerate(row):
            weight = (1 - alpha) * (number == label) + alpha / len(row)
            total -= weight * math.log(math.exp(value) / whole)
    return total / len(logits)


LOGITS, LABELS = [[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], [0, 1]


@pytest.mark.parametrize(("alpha", "epoch"), [(0.2, 0), (0.2, 99), (-0.3, 75), (-0.3, 99)])
def test_the_loss_is_the_formula_of_the_paper(alpha, epoch):
    assert loss(alpha, LOGITS, LABELS, epoch) == pytest.approx(literal(alpha, LOGITS, LABELS), abs=1e-6)


def test_a_negative_alpha_waits_and_then_grows():
    assert [ramp(done) for done in (0, 0.49, 0.5, 0.625, 0.75, 1)] == [0, 0, 0, 0.5, 1, 1]
    assert loss(-0.3, LOGITS, LABELS, 49) == pytest.approx(literal(0, LOGITS, LABELS), abs=1e-6)
    assert loss(-0.3, LOGITS, LABELS, 62) == pytest.approx(literal(-0.3 * 0.48, LOGITS, LABELS), abs=1e-6)


def test_labels_may_be_probabilities():
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    step = Step(lambda images: images, torch.tensor(LOGITS), soft, 0, 10, torch.Generator())
    expected = (literal(0.2, LOGITS, [0, 1]) + literal(0.2, LOGITS, [1, 1])) / 2
    assert float(SmoothedCrossEntropy(0.2)(step)) == pytest.approx(expected, abs=1e-6)


def test_no_smoothing_is_the_plain_model(brief, noisy):
    one, two = (recipe.fit(noisy.members, 0).model for recipe in (brief, LabelSmoothing(0.0)(brief)))
    np.testing.assert_allclose(one.scores(noisy.public.x), two.scores(noisy.public.x), atol=1e-5)


def test_positive_smoothing_holds_scores_back_and_negative_drives_them_apart(plain, noisy):
    sure = {
        alpha: LabelSmoothing(alpha)(plain).fit(noisy.members, 0).model.scores(noisy.members.x).max(axis=1).mean()
        for alpha in (0.3, 0.0, -0.1)
    }
    assert sure[0.3] < sure[0.0] - 0.1
    assert sure[-0.1] > sure[0.0]


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match="Label smoothing changes the loss of a torch training, and SklearnRecipe"):
        LabelSmoothing()(SklearnRecipe(LogisticRegression()))
