"""Layers as they are computed encrypted: the same numbers as torch and scikit-learn give in the open."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn

from safelight.defences.encrypted.layers import Convolution, Dense, Square, plainly
from safelight.defences.encrypted.network import layers_of
from safelight.defences.encrypted.squared import Squared
from safelight.errors import InputError
from safelight.targets.base import Images, Target

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("stride", "padding", "kernel"), [(1, 0, 3), (2, 1, 3), (3, 2, 5), (1, 1, 1)])
def test_a_network_of_known_layers_is_read_as_it_is(stride, padding, kernel):
    torch.manual_seed(0)
    front = nn.Sequential(
        nn.Conv2d(2, 3, kernel, stride, padding), nn.ReLU(), nn.Conv2d(3, 2, 2, bias=False), Squared()
    )
    size = front(torch.zeros(1, 2, 9, 7)).numel()
    net = nn.Sequential(front, nn.Flatten(), nn.Identity(), nn.Linear(size, 4))
    target = Target.from_torch(net, Images((2, 9, 7)))
    x = RNG.random((5, 2, 9, 7)).astype(np.float32)
    assert np.allclose(plainly(layers_of(target.model), x.reshape(5, -1)), target.model.logits(x), atol=1e-5)


def test_a_convolution_is_its_literal_version_and_its_matrix():
    layer = Convolution(RNG.normal(size=(2, 3, 3, 2)), RNG.normal(size=2), (3, 5, 4), 2, 1)
    x = RNG.normal(size=(2, 3, 5, 4))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    channels, height, width = layer.output
    literal = np.zeros((2, channels, height, width))
    for n, o, i, j in np.ndindex(literal.shape):
        seen = padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 2]
        literal[n, o, i, j] = (seen * layer.weights[o]).sum() + layer.offsets[o]
    assert np.allclose(layer(x.reshape(2, -1)), literal.reshape(2, -1))
    assert np.allclose(layer.dense()(x.reshape(2, -1)), literal.reshape(2, -1))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_linear_classifier_is_read_as_it_is(digits, classes):
    some = digits.take(digits.y < classes)
    target = Target.from_sklearn(
        LogisticRegression(max_iter=300).fit(some.x.reshape(len(some), -1), some.y), Images((1, 8, 8))
    )
    logits = plainly(layers_of(target.model), some.x.reshape(len(some), -1).astype(float))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(scores, target.model.scores(some.x), atol=1e-6)


def test_what_cannot_be_computed_encrypted_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Sigmoid())
    with pytest.raises(InputError, match=r"has a Sigmoid, which is not computed encrypted; use Linear, Conv2d"):
        layers_of(Target.from_torch(net, Images((1, 4, 4))).model)
    grouped = nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Flatten())
    with pytest.raises(InputError, match="has a Conv2d, which is not computed encrypted"):
        layers_of(Target.from_torch(grouped, Images((2, 3, 3))).model)
    table = load_breast_cancer(as_frame=True)
    forest = Target.from_sklearn(RandomForestClassifier(2).fit(table.data, table.target), table.data)
    with pytest.raises(InputError, match="RandomForestClassifier offers no gradient"):
        layers_of(forest.model)
    assert np.array_equal(plainly((Dense(np.eye(2), np.zeros(2)), Square()), np.array([[2.0, -3.0]])), [[4.0, 9.0]])
