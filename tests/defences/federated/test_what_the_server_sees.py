"""What a server gets back of its clients' records, with single updates and with their sum, beside a control."""

import numpy as np
import pytest
import torch
from torch import nn

from safelight.defences.federated.analytic import first_layer_inputs, label_of_one
from safelight.defences.federated.inverting import InvertGradients, total_variation
from safelight.defences.federated.learner import SoftmaxLearner
from safelight.defences.federated.rounds import Federation
from safelight.defences.federated.seen import Sends
from safelight.defences.federated.torch_learner import TorchLearner
from safelight.defences.federated.what_the_server_sees import closest, given_back, invert_rounds, read_first_layer
from safelight.errors import AccessDenied, InputError
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images
from safelight.threat import Observes, ThreatModel

INPUTS = Images((1, 8, 8))
LISTENS = ThreatModel(observes=Observes.UPDATES)


def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))


def convolutions(classes):
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, classes))


DENSE = TorchLearner(TorchRecipe(dense, INPUTS, epochs=1, batch=8, optimiser="sgd", rate=0.1), 10)
DEEP = TorchLearner(TorchRecipe(convolutions, INPUTS), 10)


def people(digits, n, each=1):
    order = np.random.default_rng(0).permutation(len(digits))
    return [digits.take(order[i * each : (i + 1) * each]) for i in range(n)], digits.take(order[1000 : 1000 + n * each])


@pytest.mark.parametrize("sends", list(Sends))
@pytest.mark.parametrize("learner", [DENSE, SoftmaxLearner(INPUTS, 10)], ids=["torch", "numpy"])
def test_single_updates_give_every_record_back_and_nobody_elses(digits, learner, sends):
    clients, others = people(digits, 40)
    trained = Federation(learner, 1, sends).train(clients, 0)
    found = given_back(read_first_layer(trained.updates(LISTENS), learner), clients, others)
    assert (found.exact, found.by_chance) == (1.0, 0.0)
    assert found.likeness.min() > 0.999
    assert found.likeness.mean() - found.control.mean() > 0.1


def test_the_sum_of_many_hides_what_single_updates_tell(digits):
    clients, others = people(digits, 64, each=8)
    exact, gain = {}, {}
    for secure in (False, True):
        trained = Federation(DENSE, 1, secure=secure).train(clients, 0)
        found = given_back(read_first_layer(trained.updates(LISTENS), DENSE), clients, others)
        exact[secure], gain[secure] = found.exact, found.likeness.mean() - found.control.mean()
    assert exact[False] > 0.4
    assert exact[True] < 0.02
    assert gain[True] < 0.02 < 0.04 < gain[False]


def test_the_sum_of_few_does_not(digits):
    clients, others = people(digits, 4)
    trained = Federation(DENSE, 1, secure=True).train(clients, 0)
    found = given_back(read_first_layer(trained.updates(LISTENS), DENSE), clients, others)
    assert found.exact > found.by_chance == 0.0


def test_a_unit_gives_the_weighted_mean_of_the_records_that_it_is_active_for():
    """Literal: the gradient of each unit, record by record."""
    rng = np.random.default_rng(0)
    x, off = rng.normal(size=(5, 3)), rng.normal(size=(5, 4)) * (rng.random((5, 4)) < 0.6)
    weights = sum(np.outer(off[i], x[i]) for i in range(5))
    found = first_layer_inputs(weights, off.sum(axis=0))
    order = np.argsort(-np.abs(off.sum(axis=0)))
    for row, unit in zip(found, order):
        assert np.allclose(row, sum(off[i, unit] * x[i] for i in range(5)) / off[:, unit].sum())
    assert first_layer_inputs(np.zeros((2, 3)), np.zeros(2)).shape == (0, 3)


def test_the_label_of_one_record_is_read_off(digits):
    for row in range(20):
        one = digits.take(np.array([row]))
        for learner in (DENSE, DEEP):
            gradient = learner.gradient(learner.start(row), one)
            assert label_of_one(gradient[-10:]) == one.y[0]


def test_gradients_of_a_convolution_are_inverted_and_only_the_clients_pictures_come(digits):
    clients, others = people(digits, 3)
    trained = Federation(DEEP, 1, Sends.GRADIENT).train(clients, 0)
    attack = InvertGradients(steps=160, variation=1e-4)
    pictures = invert_rounds(trained.updates(LISTENS), DEEP, attack, np.random.default_rng(0))
    assert pictures.shape == (3, 64)
    found = given_back(pictures, clients, others)
    assert found.likeness.min() > 0.98
    assert found.control.max() < 0.9
    same = invert_rounds(trained.updates(LISTENS), DEEP, attack, np.random.default_rng(0))
    assert np.array_equal(pictures, same)


def test_the_gradient_of_many_is_inverted_less_well(digits):
    clients, others = people(digits, 24)
    trained = Federation(DEEP, 1, Sends.GRADIENT, secure=True).train(clients, 0)
    labels = [np.array([client.y[0] for client in clients])]  # more than an attacker would know
    attack = InvertGradients(steps=80, variation=1e-4)
    pictures = invert_rounds(trained.updates(LISTENS), DEEP, attack, np.random.default_rng(0), labels)
    assert given_back(pictures, clients, others).exact < 0.2


def test_variation_is_the_mean_difference_of_neighbours():
    x = torch.tensor([[[[0.0, 1.0], [3.0, 3.0]]]])
    assert float(total_variation(x)) == (3 + 2) / 2 + (1 + 0) / 2


def test_likeness_is_a_correlation():
    rng = np.random.default_rng(0)
    records, candidates = rng.normal(size=(4, 9)), rng.normal(size=(5, 9))
    literal = [max(np.corrcoef(one, other)[0, 1] for other in candidates) for one in records]
    assert np.allclose(closest(records, candidates), literal)


def test_who_does_not_listen_gets_nothing_and_what_does_not_fit_is_refused(digits):
    clients, others = people(digits, 3)
    trained = Federation(DEEP, 1).train(clients, 0)
    with pytest.raises(AccessDenied, match='this attacker observes queries; set observes = "updates"'):
        read_first_layer(trained.updates(ThreatModel()), DENSE)
    with pytest.raises(InputError, match=r"first layer with weights is Conv2d .*; use invert_gradients"):
        read_first_layer(trained.updates(LISTENS), DEEP)
    with pytest.raises(InputError, match="judged beside records that no client has, and none were given"):
        given_back(np.zeros((1, 64)), clients, others.take(np.array([], dtype=int)))
    with pytest.raises(InputError, match=r"rebuilt records have \(9,\) values and the clients' \(64,\)"):
        given_back(np.zeros((1, 9)), clients, others)
