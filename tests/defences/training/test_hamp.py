"""HAMP: the label's entropy, the loss term by term, whose scores are lent, and what that does to members."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from safelight.defences.outputs.base import keys
from safelight.defences.training.hamp import Hamp, HighEntropy, LentScores, entropy_at, top_of
from safelight.errors import InputError
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe
from safelight.threat import Access


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("gamma", [0.3, 0.8, 0.99])
def test_a_label_has_the_entropy_asked_for(gamma, classes):
    sure = top_of(gamma, classes)
    label = [sure] + [(1 - sure) / (classes - 1)] * (classes - 1)
    assert sum(label) == pytest.approx(1)
    assert -sum(value * math.log(value) for value in label) == pytest.approx(gamma * math.log(classes))
    assert sure > 1 / classes
    assert entropy_at(sure + 1e-6, classes) < gamma * math.log(classes)


def test_no_entropy_is_a_sure_label():
    assert top_of(0.0, 10) == pytest.approx(1.0)


def test_the_loss_is_the_formula():
    logits, labels = [[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], [0, 1]
    step = Step(lambda images: images, torch.tensor(logits), torch.tensor(labels), 0, 1, torch.Generator())
    sure, total = top_of(0.7, 3), 0.0
    for row, label in zip(logits, labels):
        scores = [math.exp(value) / sum(map(math.exp, row)) for value in row]
        for number, score in enumerate(scores):
            total -= (sure if number == label else (1 - sure) / 2) * math.log(score)
            total -= 0.25 * -score * math.log(score)
    assert float(HighEntropy(0.7, 0.25)(step)) == pytest.approx(total / 2, abs=1e-5)


def test_no_strength_is_the_plain_model(brief, noisy):
    none = Hamp(gamma=0.0, alpha=0.0, swap=False)(brief)
    one, two = (recipe.fit(noisy.members, 0).model for recipe in (brief, none))
    np.testing.assert_allclose(one.scores(noisy.public.x), two.scores(noisy.public.x), atol=1e-4)
    assert two.access == Access.WEIGHTS


def test_answers_keep_the_order_and_nothing_else():
    lent = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
    scores = np.array([[0.01, 0.98, 0.01], [0.2, 0.1, 0.7], [0.3, 0.4, 0.3]])
    answer = LentScores(lent).harden(scores, np.array([4, 7, 0], dtype=np.uint64))
    np.testing.assert_allclose(answer, [[0.3, 0.6, 0.1], [0.4, 0.1, 0.5], [0.3, 0.6, 0.1]])


def test_the_scores_are_those_of_noise_and_stay_the_same(plain, noisy):
    target = Hamp()(plain).fit(noisy.members, 2)
    bare = Hamp(swap=False)(plain).fit(noisy.members, 2).model
    x = noisy.public.x[:40]
    noise = np.random.default_rng([2, 47]).uniform(0, 1, (256, 1, 8, 8)).astype(np.float32)
    lent = np.sort(bare.scores(noise), axis=1)[(keys(x) % 256).astype(int)]
    np.testing.assert_allclose(np.sort(target.model.scores(x), axis=1), lent)
    np.testing.assert_array_equal(target.model.labels(x), bare.labels(x))
    np.testing.assert_array_equal(target.model.scores(x[::-1]), target.model.scores(x)[::-1])
    assert target.model.access == Access.SCORES


def test_the_exchange_lowers_what_the_training_alone_raises(plain, noisy, leak, plain_leak):
    bare = leak(Hamp(swap=False)(plain), noisy)
    assert (bare > plain_leak).all(), "smooth labels make members stand out more on data like these"
    assert (leak(Hamp()(plain), noisy) < bare - 0.02).all()


def test_it_needs_a_torch_recipe():
    with pytest.raises(InputError, match=r"High-entropy training \(HAMP\) changes the loss of a torch training"):
        Hamp()(SklearnRecipe(LogisticRegression()))
