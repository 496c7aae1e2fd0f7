"""Federated rounds: they learn what a plain training learns, show the server what they should, and stop liars."""

import numpy as np
import pytest
from torch import nn

from safelight.data.records import Records, concat
from safelight.defences.federated.client_dp import ClientDp, least_noise
from safelight.defences.federated.combine import Krum
from safelight.defences.federated.learner import SoftmaxLearner
from safelight.defences.federated.partition import by_person, in_parts
from safelight.defences.federated.rounds import ClientNoise, Federation
from safelight.defences.federated.secure_aggregation import SecureAggregation
from safelight.defences.federated.seen import Sends, load_rounds, save_rounds
from safelight.defences.federated.torch_learner import TorchLearner
from safelight.errors import AccessDenied, InputError
from safelight.measures.trade_off import DpSgd
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Table, Target
from safelight.threat import Access, Observes, ThreatModel

INPUTS = Images((1, 8, 8))
SOFTMAX = SoftmaxLearner(INPUTS, 10, rate=0.3)


def dense(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, classes))


RECIPE = TorchRecipe(dense, INPUTS, epochs=1, batch=16, optimiser="sgd", rate=0.05)


@pytest.fixture(scope="module")
def clients(digits):
    return in_parts(digits.take(np.arange(1000)), 10, np.random.default_rng(0))


def accuracy(target, records):
    return (target.model.labels(records.x) == records.y).mean()


@pytest.mark.parametrize("learner", [SOFTMAX, TorchLearner(RECIPE, 10)], ids=["numpy", "torch"])
def test_clients_learn_together_what_none_of_them_holds(learner, clients, digits):
    """Each client holds two classes alone: only together do they learn ten."""
    records = digits.take(np.arange(1000))
    parts = [records.take(np.isin(records.y, [2 * k, 2 * k + 1])) for k in range(5)]
    trained = Federation(learner, rounds=12).train(parts, seed=1)
    assert accuracy(trained.target, digits.take(np.arange(1000, 1797))) > 0.6
    assert len(trained.rounds) == 12


def test_one_step_of_gradients_is_a_step_of_the_whole(clients):
    """FedSGD with one client a part is gradient descent on all records, weighted by how many each holds."""
    federation = Federation(SOFTMAX, 3, Sends.GRADIENT, rate=0.5)
    weights = SOFTMAX.start(0)
    everyone = concat(clients)
    for _ in range(3):
        weights = weights - 0.5 * SOFTMAX.gradient(weights, everyone)
    assert np.allclose(federation.train(clients, 0).weights, weights, atol=1e-12)


def test_the_slope_is_that_of_differences(clients):
    weights = np.random.default_rng(0).normal(size=650) / 10
    slope = SOFTMAX.gradient(weights, clients[0])
    both = np.eye(650)[[3, 200, 645]] * 1e-6

    def loss(at):
        scores = SOFTMAX.target(at).model.scores(clients[0].x)
        return -np.log(scores[np.arange(len(scores)), clients[0].y]).mean()

    for row, index in zip(both, (3, 200, 645)):
        assert np.isclose(slope[index], (loss(weights + row) - loss(weights - row)) / 2e-6, atol=1e-6)


def test_a_table_is_learnt_too(patients):
    columns = Table(tuple(patients.x.columns[:6]))
    scaled = (patients.x[list(columns.columns)] - patients.x.mean(numeric_only=True)) / patients.x.std(
        numeric_only=True
    )
    records = Records.of(scaled, patients.y + (np.arange(len(patients)) % 7 == 0))  # three classes
    learner = SoftmaxLearner(columns, 3)
    trained = Federation(learner, rounds=5).train(in_parts(records, 5, np.random.default_rng(0)), 0)
    assert accuracy(trained.target, records) > 0.5


def test_the_secure_rounds_are_the_plain_ones_and_show_the_sum_alone(clients):
    plain = Federation(SOFTMAX, 4, lost=0.2).train(clients, 3)
    secure = Federation(SOFTMAX, 4, lost=0.2, secure=True).train(clients, 3)
    assert np.abs(plain.weights - secure.weights).max() < 1e-4
    assert all(seen.single for seen in plain.rounds)
    assert not any(seen.single for seen in secure.rounds)
    assert [seen.updates.shape for seen in secure.rounds] == [(1, 650)] * 4
    assert [seen.counted for seen in secure.rounds] == [(len(seen.clients),) for seen in plain.rounds]
    assert {len(seen.clients) for seen in plain.rounds} != {10}, "some were lost"


@pytest.mark.parametrize("secure", [False, True])
def test_the_same_seed_gives_the_same_rounds(clients, secure):
    noise = ClientNoise(1.0, 0.8)
    federation = Federation(SOFTMAX, 2, clip=1.0, noise=noise, secure=secure, lost=0.1)
    one, again, other = (federation.train(clients, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.weights, again.weights)
    assert not np.array_equal(one.weights, other.weights)


def test_a_lying_server_is_caught_by_the_hash(clients):
    def shows(number, client, weights):
        return weights * 0 if (number, client) == (1, 3) else weights

    with pytest.raises(InputError, match=r"gave client 3 another model than client 0 \(sha256 .*; nothing was sent"):
        Federation(SOFTMAX, 2).train(clients, 0, shows)


def test_the_door_opens_for_who_observes_updates_alone(clients):
    trained = Federation(SOFTMAX, 2).train(clients, 0)
    assert len(list(trained.updates(ThreatModel(observes=Observes.UPDATES)))) == 2
    for other in (Observes.QUERIES, Observes.RELEASE):
        with pytest.raises(AccessDenied, match="reads a client's updates, and this attacker observes"):
            list(trained.updates(ThreatModel(Access.WEIGHTS, observes=other)))


@pytest.mark.parametrize("secure", [False, True])
def test_rounds_survive_the_disk(clients, tmp_path, secure):
    trained = Federation(SOFTMAX, 3, secure=secure, lost=0.2).train(clients, 0)
    save_rounds(tmp_path / "rounds.npz", trained.rounds)
    for one, back in zip(trained.rounds, load_rounds(tmp_path / "rounds.npz"), strict=True):
        assert (one.clients, one.counted, one.sends) == (back.clients, back.counted, back.sends)
        assert np.array_equal(one.weights, back.weights)
        assert np.array_equal(one.updates, back.updates)
    (tmp_path / "other.npz").write_bytes(b"no zip")
    with pytest.raises(InputError, match="holds no rounds of a federated training"):
        load_rounds(tmp_path / "other.npz")


class Broken(SoftmaxLearner):
    def trained(self, weights, records, seed):
        return weights * np.nan if len(records) == 7 else weights[:-1] if len(records) == 5 else weights


@pytest.mark.parametrize("secure", [False, True])
def test_a_client_that_sends_nonsense_is_refused(clients, digits, secure):
    for size, words in ((7, r"client 2 has shape \(650,\) and 650 NaN"), (5, "operands could not be broadcast")):
        bad = [clients[0], clients[1], digits.take(np.arange(size))]
        with pytest.raises((InputError, ValueError), match=words):
            Federation(Broken(INPUTS, 10), 1, secure=secure).train(bad, 0)


def test_what_does_not_go_together_is_refused(clients):
    with pytest.raises(InputError, match="Krum needs single updates and a secure sum shows only their sum; use Mean"):
        Federation(SOFTMAX, secure=True, combine=Krum())
    with pytest.raises(InputError, match="Differential privacy needs a clip and the mean"):
        Federation(SOFTMAX, noise=ClientNoise(1.0))
    with pytest.raises(InputError, match="needs clients, and there are none"):
        Federation(SOFTMAX).train([], 0)
    with pytest.raises(InputError, match="of 10 clients sent an update, and the threshold is 6"):
        Federation(SOFTMAX, 3, lost=0.8, secure=True).train(clients, 0)
    normed = TorchRecipe(lambda classes: nn.Sequential(nn.BatchNorm2d(1), dense(classes)), INPUTS)
    with pytest.raises(InputError, match=r"keeps running averages \(0.running_mean\).*; use GroupNorm"):
        TorchLearner(normed, 10).start(0)


def test_clients_are_persons_or_parts(digits):
    records = digits.take(np.arange(12))
    named = Records.of(records.x, records.y, person=np.repeat(["b", "a", "c"], 4))
    assert [part.ids.tolist() for part in by_person(named)] == [[4, 5, 6, 7], [0, 1, 2, 3], [8, 9, 10, 11]]
    parts = in_parts(records, 5, np.random.default_rng(0))
    assert sorted(np.concatenate([part.ids for part in parts])) == list(range(12))
    with pytest.raises(InputError, match="do not say who they are about"):
        by_person(records)
    with pytest.raises(InputError, match="12 records cannot be shared out to 13 clients"):
        in_parts(records, 13, np.random.default_rng(0))


# Differential privacy -------------------------------------------------------------------------------------------------


class Far(SoftmaxLearner):
    """A client whose update is as long as it likes, always in the same direction."""

    def trained(self, weights, records, seed):
        return weights + 1000.0


@pytest.mark.parametrize("secure", [False, True])
def test_the_noise_is_as_large_as_promised_and_no_client_counts_for_more_than_the_clip(clients, secure):
    sigma, clip, sampling = 2.0, 0.5, 0.6
    noise = ClientNoise(sigma, sampling)
    federation = Federation(Far(INPUTS, 10), 150, clip=clip, noise=noise, secure=secure)
    trained = federation.train(clients[:4] if secure else clients, 0)
    n = 4 if secure else 10
    models = np.stack([seen.weights for seen in trained.rounds] + [trained.weights])
    steps = np.diff(models, axis=0) * sampling * n
    along = np.full(650, 1 / np.sqrt(650))
    across = steps - np.outer(steps @ along, along)
    assert np.isclose(across.std(), sigma * clip, rtol=0.01)
    took_part = (steps @ along) / clip  # a number of clients, plus noise of sigma
    assert abs(took_part.mean() - sampling * n) < 4 * np.sqrt((n * 0.24 + sigma**2) / 150)
    assert abs(took_part.var() - (n * 0.24 + sigma**2)) < 4 * (n * 0.24 + sigma**2) * np.sqrt(2 / 150)


def test_the_promise_is_that_of_the_accountant():
    learner = SOFTMAX
    federation = Federation(learner, 1000, clip=1.0, noise=ClientNoise(1.0, 0.01))
    assert federation.training() == DpSgd(1.0, 0.01, 1000)
    assert abs(federation.training().epsilon(1e-5) - 1.8282) < 2e-3  # dp-accounting's own figure
    assert Federation(learner).training() is None
    sigma = least_noise(8.0, 1e-3, 0.5, 20)
    assert DpSgd(sigma, 0.5, 20).epsilon(1e-3) <= 8.0 < DpSgd(sigma / 1.02, 0.5, 20).epsilon(1e-3)
    with pytest.raises(InputError, match="epsilon is 0"):
        least_noise(0, 1e-3, 0.5, 20)


# As defences ----------------------------------------------------------------------------------------------------------


def test_secure_aggregation_trains_the_model_that_plain_rounds_train(digits):
    records = digits.take(np.arange(600))
    target = SecureAggregation(clients=6, rounds=8, epochs=2)(RECIPE).fit(records, 0)
    assert isinstance(target, Target)
    assert target.description == "secure-aggregation(clients=6, rounds=8, epochs=2)"
    plain = Federation(TorchLearner(TorchRecipe(dense, INPUTS, 2, 16, "sgd", 0.05), 10), 8)
    same = plain.train(in_parts(records, 6, np.random.default_rng([0, 6])), 0).target
    asked = digits.take(np.arange(1000, 1300)).x
    assert np.abs(same.model.scores(asked) - target.model.scores(asked)).max() < 1e-3
    assert accuracy(target, digits.take(np.arange(1000, 1797))) > 0.7


def flat(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def test_client_dp_counts_a_person_as_one_client_and_learns_less_with_a_smaller_epsilon(digits):
    records = Records.of(digits.x[:1000], digits.y[:1000], person=np.arange(1000) % 100)
    recipe, rest = TorchRecipe(flat, INPUTS, 1, 16, "sgd", 0.3), digits.take(np.arange(1000, 1797))
    found = {epsilon: accuracy(ClientDp(epsilon, rounds=5)(recipe).fit(records, 0), rest) for epsilon in (30.0, 0.1)}
    assert found[30.0] > 0.5 > 0.3 > found[0.1]
    reason = ClientDp().misfit(FunctionRecipe(lambda records, seed: None))
    assert "FunctionRecipe" in reason
    with pytest.raises(InputError, match="epochs is 0"):
        ClientDp(30.0, epochs=0)(RECIPE).fit(records, 0)
