"""What a Flower client sends is written down by its app and audited here."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from safelight.defences.federated import flower
from safelight.defences.federated.flower import capture
from safelight.defences.federated.flower_rounds import rounds_from_flower
from safelight.defences.federated.learner import SoftmaxLearner
from safelight.defences.federated.rounds import Federation
from safelight.defences.federated.seen import Updates
from safelight.defences.federated.what_the_server_sees import given_back, read_first_layer
from safelight.errors import InputError
from safelight.targets.base import Images
from safelight.threat import Observes, ThreatModel

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("FLOWER_PYTHON", HERE.parents[2] / ".venv-flower/bin/python"))
LISTENS = ThreatModel(observes=Observes.UPDATES)


def message(kind, arrays, number=None, error=False):
    """What a mod reads of a Flower message, no more."""
    record = SimpleNamespace(to_numpy_ndarrays=lambda: arrays)
    config = {} if number is None else {"config": {"server-round": number}}
    content = SimpleNamespace(array_records={"arrays": record}, config_records=config)
    return SimpleNamespace(metadata=SimpleNamespace(message_type=kind), content=content, has_error=lambda: error)


def sent(folder, number, client, came, back, kind="train", error=False):
    context = SimpleNamespace(node_config={"partition-id": client}, node_id=77)
    reply = message(kind, back, error=error)
    assert capture(folder)(message(kind, came, number), context, lambda got, ctx: reply) is reply


def test_rounds_are_written_and_read(tmp_path):
    came = {1: [np.ones((2, 3)), np.zeros(2)], 2: [np.full((2, 3), 5.0), np.ones(2)]}
    for number in (2, 1):
        for client in (10, 2):
            sent(tmp_path, number, client, came[number], [each + client for each in came[number]])
    sent(tmp_path, 3, 0, came[1], came[1], kind="evaluate")
    sent(tmp_path, 3, 0, came[1], came[1], error=True)
    rounds = rounds_from_flower(tmp_path)
    assert [seen.clients for seen in rounds] == [(2, 10), (2, 10)]
    assert np.array_equal(rounds[0].updates, np.outer([2, 10], np.ones(8)))
    assert np.array_equal(rounds[1].weights, [5.0] * 6 + [1.0] * 2)


def test_what_cannot_be_audited_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no round-.*; put capture\(.*\) first among the app's mods"):
        rounds_from_flower(tmp_path)
    sent(tmp_path / "shapes", 1, 4, [np.ones(3)], [np.ones(2)])
    with pytest.raises(InputError, match=r"Client 4 got arrays of shapes \[\(3,\)\] in round 1 and sent \[\(2,\)\]"):
        rounds_from_flower(tmp_path / "shapes")
    for client in (0, 1):
        sent(tmp_path / "lies", 1, client, [np.full(3, float(client))], [np.ones(3)])
    with pytest.raises(InputError, match="gave client 1 another model than client 0"):
        rounds_from_flower(tmp_path / "lies")
    (tmp_path / "lies" / "round-00001-client-0.npz").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"client-0\.npz cannot be read"):
        rounds_from_flower(tmp_path / "lies")


@pytest.mark.cluster
@pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-flower")
def test_a_real_flower_app_gives_its_clients_digits_away(digits, tmp_path):
    order = np.random.default_rng(0).permutation(len(digits))
    clients = [digits.take(order[i : i + 1]) for i in range(4)]
    data, folder = tmp_path / "data.npz", tmp_path / "captured"
    np.savez(data, x=[part.x[0].ravel() for part in clients], y=[part.y[0] for part in clients])
    subprocess.run(
        [PYTHON, HERE / "flower_app.py", Path(flower.__file__).parent, data, folder, "4"], check=True, timeout=300
    )
    rounds = rounds_from_flower(folder)
    assert [seen.clients for seen in rounds] == [(0, 1, 2, 3)] * 2
    learner = SoftmaxLearner(Images((1, 8, 8)), 10, rate=0.1)
    found = given_back(read_first_layer(Updates(rounds, LISTENS), learner), clients, digits.take(order[1000:1004]))
    assert (found.exact, found.by_chance) == (1.0, 0.0)
    # Flower's rounds are those of the simulator.
    own = Federation(learner, 2).train(clients, 0)
    with np.load(folder / "final.npz") as file:
        final = np.concatenate([file["arr_0"].ravel(), file["arr_1"]])
    assert np.abs(final - own.weights).max() < 1e-5
    for theirs, ours in zip(rounds, own.rounds, strict=True):
        assert np.abs(theirs.updates - ours.updates).max() < 1e-5
