"""Distillation: the student sees public records alone, labelled as the formula says, and tells less of the members."""

import math

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from torch import nn

from safelight.data.records import Records
from safelight.defences.training.distillation import Distillation, entropy, flattened
from safelight.defences.training.teaching import learn, says
from safelight.errors import InputError
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images

SHAPE = Images((1, 8, 8))
FOREST = SklearnRecipe(RandomForestClassifier(10), SHAPE)


def test_flattened_scores_and_entropy_are_their_formulas():
    rows = [[0.7, 0.2, 0.1], [0.98, 0.01, 0.01]]
    for row, ours in zip(rows, flattened(np.array(rows), 3.0)):
        raised = [value ** (1 / 3) for value in row]
        assert ours == pytest.approx([value / sum(raised) for value in raised])
    np.testing.assert_allclose(flattened(np.array(rows), 1.0), rows)
    expected = [-sum(value * math.log(value) for value in row) for row in rows]
    assert entropy(np.array(rows)) == pytest.approx(expected)
    assert entropy(np.array([[1.0, 0.0]])) == pytest.approx([0.0])


def test_the_student_is_trained_on_the_surest_public_records_alone(brief, noisy):
    ours = Distillation(noisy.public, temperature=2.0, share=0.4)(brief).fit(noisy.members, 1)
    scores = brief.fit(noisy.members, 1).model.scores(noisy.public.x)
    surest = sorted(range(600), key=lambda row: entropy(scores[row : row + 1])[0])[:240]
    rows = sorted(surest)
    seed = int(np.random.default_rng([1, 41]).integers(2**31))
    net = brief.build(noisy.members, seed)
    images = torch.as_tensor(noisy.public.x[rows])
    soft = torch.as_tensor(flattened(scores[rows], 2.0), dtype=torch.float32)
    for _ in brief.passes(net, images, soft, seed):
        pass
    with torch.no_grad():
        expected = net.eval()(torch.as_tensor(noisy.members.x)).softmax(1).numpy()
    np.testing.assert_allclose(ours.model.scores(noisy.members.x), expected, atol=1e-5)


def test_the_labels_of_public_records_are_not_used(brief, noisy):
    wrong = noisy.public.relabelled(np.zeros(len(noisy.public), int))
    one, two = (Distillation(public)(brief).fit(noisy.members, 0).model for public in (noisy.public, wrong))
    np.testing.assert_array_equal(one.scores(noisy.members.x), two.scores(noisy.members.x))


def test_a_student_tells_less_of_the_members(plain, noisy, leak, plain_leak):
    assert (leak(Distillation(noisy.public, share=0.5)(plain), noisy) < plain_leak - 0.07).all()


def test_a_forest_learns_the_class_and_keeps_every_class(digits, noisy):
    few = digits.take(digits.y < 5)
    target = Distillation(few)(FOREST).fit(noisy.members, 0)
    assert target.model.classes == tuple("0123456789")
    assert target.model.scores(few.x).shape == (len(few), 10)
    assert (target.model.labels(few.x) == few.y).mean() > 0.5


def test_what_was_never_met_scores_nothing(digits):
    teacher = FOREST.fit(digits.take(np.isin(digits.y, (2, 5))), 0)
    scores = says(teacher, digits.x[:50], 8)
    assert scores.shape == (50, 8)
    assert set(np.flatnonzero(scores.sum(axis=0))) == {2, 5}
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def forest(records, seed):
    return RandomForestClassifier(3, random_state=seed).fit(records.x.reshape(len(records), -1), records.y)


def network(records, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, int(records.y.max()) + 1))


def test_a_function_that_meets_two_classes_of_ten_keeps_them_apart(digits):
    some = digits.take(np.isin(digits.y, (2, 5)))
    model = learn(FunctionRecipe(forest, SHAPE), some, np.eye(10)[some.y], 0).model
    assert len(model.classes) == 10
    assert (model.labels(some.x) == some.y).mean() > 0.9


def test_what_it_cannot_work_with_is_said(plain, noisy, digits):
    with pytest.raises(InputError, match="Distillation has no public records to work with; set public"):
        Distillation()(plain).fit(noisy.members, 0)
    numbers = Records.of(noisy.members.x, noisy.members.y / 2)
    with pytest.raises(InputError, match="Distillation hands on class scores, and these records have real-valued"):
        Distillation(noisy.public)(SklearnRecipe(LinearRegression(), SHAPE)).fit(numbers, 0)
    soft = np.eye(10)[np.arange(20) % 3]
    with pytest.raises(InputError, match=r"named 3 of 10 classes .* FunctionRecipe trains no model for the others"):
        learn(FunctionRecipe(network, SHAPE), digits.take(np.arange(20)), soft, 0)
