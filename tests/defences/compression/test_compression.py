"""Smaller networks: no strength changes nothing, each formula beside a literal one, and what they cost."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from safelight.defences.base import InTraining, describe
from safelight.defences.compression.estimators import weights_of
from safelight.defences.compression.low_rank import LowRank, thin
from safelight.defences.compression.pruning import Pruning
from safelight.defences.compression.quantisation import Quantisation, coded, short
from safelight.defences.compression.size import size
from safelight.defences.compression.student import Softened, Student
from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import InputError
from safelight.recipes.objective import Step
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

NONE = (Pruning(0.0, tune=0), LowRank(1.0, tune=0))
SMALL = (Pruning(0.9), Quantisation(4), LowRank(0.5), Student(16))


def weights(target):
    return [value.numpy() for name, value in target.model.net.state_dict().items() if name.endswith("weight")]


@dataclass(frozen=True)
class Trained(InTraining):
    """Another defence, which trains as the recipe does."""

    name: ClassVar[str] = "trained"

    def fit(self, recipe, records, seed):
        return recipe.fit(records, seed)


@pytest.mark.parametrize("defence", NONE, ids=describe)
def test_no_strength_is_the_plain_network(trained, digit_splits, defence):
    plain, same = (recipe.fit(digit_splits.members, 0) for recipe in (trained, defence(trained)))
    np.testing.assert_allclose(
        same.model.scores(digit_splits.nonmembers.x), plain.model.scores(digit_splits.nonmembers.x)
    )
    assert size(same) == size(plain)


@pytest.mark.parametrize("defence", SMALL, ids=describe)
def test_a_smaller_network_is_smaller_and_still_works(trained, digit_splits, defence):
    plain = trained.fit(digit_splits.members, 0)
    recipe = defence(trained)
    target, again = (recipe.fit(digit_splits.members, 0) for _ in range(2))
    others = digit_splits.nonmembers
    right = {t: float((t.model.labels(others.x) == others.y).mean()) for t in (plain, target)}
    assert right[plain] > 0.9
    assert right[target] > 0.85
    assert size(target) < 0.85 * size(plain)
    assert np.array_equal(target.model.scores(others.x), again.model.scores(others.x))
    assert (target.name, target.description) == ("retrained", describe(defence))
    assert not any(value.requires_grad for value in target.model.net.parameters())


def test_the_smallest_weights_of_the_whole_network_are_zero(trained, digit_splits):
    plain = weights(trained.fit(digit_splits.members, 0))
    cut = weights(Pruning(0.7, tune=0)(trained).fit(digit_splits.members, 0))
    whole = sorted(abs(value) for layer in plain for value in layer.ravel().tolist())
    edge = whole[round(0.7 * len(whole)) - 1]
    for before, after in zip(plain, cut):
        np.testing.assert_array_equal(after, np.where(np.abs(before) > edge, before, 0))


def test_zeros_stay_zero_in_further_training(trained, digit_splits):
    once, more = (weights(Pruning(0.8, tune)(trained).fit(digit_splits.members, 0)) for tune in (0, 3))
    for before, after in zip(once, more):
        assert not after[before == 0].any()
        assert (after[before != 0] != before[before != 0]).any()


def literal(row, bits):
    """One row, one number at a time; the scale is a fraction of 2^e with 16 significant bits."""
    most = 2 ** (bits - 1) - 1
    exact = float(np.float32(max(abs(value) for value in row)) / np.float32(most))
    step = 2.0 ** (math.frexp(exact)[1] - 16)
    scale = math.ceil(exact / step) * step
    return [round(value / scale) * scale for value in row]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_are_rounded_to_their_row_s_grid(bits):
    rows = np.random.default_rng(1).normal(size=(5, 40)).astype(np.float32)
    codes, scales = coded(rows, bits)
    np.testing.assert_allclose(codes * scales, [literal(row, bits) for row in rows.tolist()], atol=1e-7)
    assert np.abs(codes).max() == 2 ** (bits - 1) - 1
    assert (np.abs(codes * scales - rows) <= scales / 2 + 1e-7).all()
    assert (scales == short(scales)).all()
    again, same = coded(codes * scales, bits)  # a second rounding changes nothing
    assert np.array_equal(again, codes)
    assert np.array_equal(same, scales)
    assert not coded(np.zeros((1, 3), np.float32), bits)[0].any()


def test_eight_bits_hardly_change_an_answer_and_two_bits_do(trained, digit_splits):
    plain = trained.fit(digit_splits.members, 0).model.scores(digit_splits.nonmembers.x)
    eight, two = (Quantisation(bits)(trained).fit(digit_splits.members, 0).model for bits in (8, 2))
    moved = [np.abs(model.scores(digit_splits.nonmembers.x) - plain).mean() for model in (eight, two)]
    assert moved[0] < 0.003 < 0.02 < moved[1]


def test_two_thin_layers_are_the_nearest_of_their_rank():
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    two = thin(layer, 0.2)
    product = (two[1].weight @ two[0].weight).detach().numpy()
    exact = layer.weight.detach().numpy()
    dropped = np.linalg.svd(exact, compute_uv=False)[6:]
    assert np.linalg.matrix_rank(product, tol=1e-5) == 6
    assert np.linalg.norm(product - exact) == pytest.approx(np.sqrt((dropped**2).sum()), rel=1e-5)
    assert torch.equal(two[1].bias, layer.bias)
    assert thin(layer, 0.9) is layer
    assert thin(nn.Linear(40, 30, bias=False), 0.2)[1].bias is None


def attending(classes):
    layer = nn.TransformerEncoderLayer(16, 2, 64, dropout=0.0, batch_first=True)
    head = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes)
    return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 16)), layer, nn.Flatten(), *head)


def test_what_attention_reads_without_a_call_stays(digit_splits):
    recipe, records = TorchRecipe(attending, Images((1, 8, 8)), epochs=1), digit_splits.members
    target = LowRank(0.2, tune=1)(recipe).fit(records, 0)
    net = target.model.net
    assert type(net[2].linear1) is nn.Linear
    assert type(net[4]) is nn.Sequential
    assert target.model.scores(records.x).shape == (len(records), 10)
    assert type(LowRank(0.2, tune=0)(_layer_alone()).fit(records, 0).model.net[1]) is nn.Sequential


def _layer_alone():
    return TorchRecipe(lambda classes: nn.Sequential(nn.Flatten(), nn.Linear(64, classes)), Images((1, 8, 8)), epochs=1)


def test_the_student_learns_softened_answers():
    rng = np.random.default_rng(0)
    logits, teacher = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(4), 6)
    step = Step(lambda x: x, torch.tensor(logits), torch.tensor(teacher), 0, 1, torch.Generator())
    total = 0.0
    for row, wanted in zip(logits.tolist(), teacher.tolist()):
        whole = sum(math.exp(value / 3) for value in row)
        total -= sum(p * math.log(math.exp(value / 3) / whole) for value, p in zip(row, wanted))
    assert float(Softened(3.0)(step)) == pytest.approx(9 * total / 6, rel=1e-5)


def test_a_student_agrees_with_its_teacher_more_than_with_the_labels(trained, digit_splits):
    flipped = digit_splits.members.relabelled(np.random.default_rng(0).permutation(digit_splits.members.y))
    teacher, student = (recipe.fit(flipped, 0).model for recipe in (trained, Student(64)(trained)))
    x = digit_splits.nonmembers.x
    alone = trained.fit(flipped, 1).model
    assert (student.labels(x) == teacher.labels(x)).mean() > (alone.labels(x) == teacher.labels(x)).mean()


def test_compression_follows_another_defence_but_does_not_train_on(trained, digit_splits):
    defended = Trained()(trained)
    small = Quantisation(4)(defended).fit(digit_splits.members, 0)
    plain = Quantisation(4)(trained).fit(digit_splits.members, 0)
    assert np.array_equal(small.model.scores(digit_splits.members.x), plain.model.scores(digit_splits.members.x))
    assert Pruning(tune=0)(defended).fit(digit_splits.members, 0).model.classes
    with pytest.raises(InputError, match=r"Pruning would train on without the defence .* set tune = 0"):
        Pruning()(defended).fit(digit_splits.members, 0)
    both = Quantisation(4)(Pruning(0.9)(trained)).fit(digit_splits.members, 0)
    assert size(both) < size(small)
    with pytest.raises(InputError, match="Quantisation changes the trained network of a torch training, and Hardened"):
        Quantisation()(OutputPolicy()(trained))


PERCEPTRON = MLPClassifier((24,), max_iter=60, learning_rate_init=0.01)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", [LogisticRegression(max_iter=300), make_pipeline(StandardScaler(), PERCEPTRON)])
def test_linear_models_and_perceptrons_of_scikit_learn_are_compressed(estimator, digit_splits):
    recipe = SklearnRecipe(estimator, Images((1, 8, 8)))
    plain = recipe.fit(digit_splits.members, 0)
    pruned, four, two = (
        defence(recipe).fit(digit_splits.members, 0) for defence in (Pruning(0.6, 0), Quantisation(4), Quantisation(2))
    )
    whole, left = (np.concatenate([w.ravel() for w in weights_of(t.model.fitted)]) for t in (plain, pruned))
    count = round(0.6 * len(whole))
    np.testing.assert_array_equal(left, np.where(np.abs(whole) > np.sort(np.abs(whole))[count - 1], whole, 0))
    assert size(two) < size(four) < 0.3 * size(plain) > size(pruned) / 2
    for before, after in zip(weights_of(plain.model.fitted), weights_of(four.model.fitted)):
        np.testing.assert_allclose(after, [literal(row, 4) for row in before.tolist()], atol=1e-6)
    others = digit_splits.nonmembers
    assert (four.model.labels(others.x) == others.y).mean() > 0.85


def test_what_compression_cannot_do_with_scikit_learn_is_said():
    linear, tree = (SklearnRecipe(estimator) for estimator in (LogisticRegression(), DecisionTreeClassifier()))
    with pytest.raises(InputError, match="Pruning cannot train a scikit-learn model on from where it is; set tune = 0"):
        Pruning()(linear)
    for defence in (Quantisation(), Pruning(), Pruning(tune=0)):
        with pytest.raises(
            InputError, match="linear models and perceptrons, and DecisionTreeClassifier has none; give"
        ):
            defence(tree)


@pytest.mark.parametrize("defence", [LowRank(), Student()], ids=describe)
def test_a_recipe_without_a_network_is_refused(defence):
    with pytest.raises(InputError, match="of a torch training, and SklearnRecipe hides its own"):
        defence(SklearnRecipe(LogisticRegression()))


@pytest.mark.parametrize(
    ("kind", "wrong", "says"),
    [
        (Quantisation, {"bits": 1}, "quantisation, bits is 1; it must be in [2, 8]"),
        (Pruning, {"share": 1.0}, "pruning, share is 1.0; it must be in [0, 1)"),
        (Pruning, {"tune": -1}, "pruning, tune is -1; it must be at least 0"),
        (LowRank, {"share": 0.0}, "low-rank, share is 0.0; it must be in (0, 1]"),
        (Student, {"hidden": 0}, "student, hidden is 0; it must be at least 1"),
        (Student, {"temperature": 0.0}, "student, temperature is 0.0; it must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong, says):
    with pytest.raises(InputError, match=re.escape(says)):
        kind(**wrong)


def test_a_defence_of_networks_refuses_the_weights_of_an_estimator():
    with pytest.raises(InputError, match="give a TorchRecipe"):
        LowRank().lightened([np.eye(2)])
