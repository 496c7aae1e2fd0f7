"""The secure sum: exact or not, seconds and bytes beside the plain sum; what a server gets back with and without it.

Goals: 50 clients of 1,000,000 parameters, 20 % lost, the sum exact to the fixed point; from single updates of one
record each the server gets all records back, from the sum of 64 clients with 8 records each at most a fiftieth of what
it gets from their single updates.
Run: python benchmarks/bench_secure_sum.py [seed]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

from safelight.data.records import Records
from safelight.defences.federated.inverting import InvertGradients
from safelight.defences.federated.rounds import Federation
from safelight.defences.federated.secure_client import Terms
from safelight.defences.federated.secure_sum import secure_sum
from safelight.defences.federated.seen import Sends
from safelight.defences.federated.torch_learner import TorchLearner
from safelight.defences.federated.what_the_server_sees import given_back, invert_rounds, read_first_layer
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images
from safelight.threat import Observes, ThreatModel

SIZES = ((10, 0.0, 100_000), (10, 0.2, 100_000), (50, 0.0, 1_000_000), (50, 0.2, 1_000_000))


def sums(seed: int) -> bool:
    rng, good = np.random.default_rng(seed), True
    print(
        f"{'clients':>7}{'lost':>6}{'parameters':>12}{'CPU s':>8}{'plain':>9}{'MB sent':>9}{'of plain':>9}"
        f"{'not masks':>11}{'wrong':>7}{'|correlation|':>14}"
    )
    for clients, lost, size in SIZES:
        terms = Terms(clients, 2 * clients // 3 + 1, size)
        updates = [rng.normal(size=size).astype(np.float32) for _ in range(clients)]
        gone = rng.permutation(clients)[: int(lost * clients)]
        started = time.process_time()
        done = secure_sum(updates, terms=terms, lost_early=set(gone[: len(gone) // 2].tolist()),
                          lost_late=set(gone[len(gone) // 2 :].tolist()))  # fmt: skip
        spent, started = time.process_time() - started, time.process_time()
        plain = np.zeros(size)
        for name in done.counted:
            plain += np.rint(updates[name].astype(float) * 2**20)
        simple = time.process_time() - started
        wrong = int((done.total != plain / 2**20).sum())
        most = max(
            abs(np.corrcoef(done.masked[name].view("<i4").astype(np.float32), updates[name])[0, 1])
            for name in done.counted
        )
        sent, bare = sum(done.traffic), 4 * size * len(done.counted)
        print(f"{clients:7}{lost:6.0%}{size:12,}{spent:8.2f}{simple:9.2f}{sent / 1e6:9.1f}{sent / bare:9.4f}"
              f"{(sent - done.traffic.updates) / 1e6:8.2f} MB{wrong:7}{most:14.4f}", flush=True)  # fmt: skip
        good &= wrong == 0 and most < 5 / np.sqrt(size)
    print("'of plain': bytes over those of the same updates as float32; 'correlation': the largest, of what the server")
    print("got from one client with its true update; chance stays below 5 / sqrt(parameters)")
    return good


def dense(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))


def convolutions(classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, classes))


def seen(seed: int, draws: int = 5) -> bool:
    """Print which digits a server gets back: share given back and mean correlation, each beside the control."""
    bunch, inputs, listens = load_digits(), Images((1, 8, 8)), ThreatModel(observes=Observes.UPDATES)
    digits = Records.of(bunch.images[:, None] / 16, bunch.target)
    read = TorchLearner(TorchRecipe(dense, inputs, epochs=1, batch=8, optimiser="sgd", rate=0.1), 10)
    searched = TorchLearner(TorchRecipe(convolutions, inputs), 10)
    settings = [("first layer", n, each) for n, each in ((4, 1), (16, 1), (64, 1), (16, 8), (64, 8))]
    settings += [("inverted", n, 1) for n in (4, 16)]
    print(
        f"\n{'attack':13}{'clients':>7}{'records':>8}  {'sees':8}{'given back':12}{'control':10}{'correlation':24}"
        "control"
    )
    exact = {}
    for name, n, each in settings:
        for secure in (False, True):
            found = []
            for draw in range(draws if name == "first layer" else 2):
                rng = np.random.default_rng([seed, n, each, draw])
                order = rng.permutation(len(digits))
                clients = [digits.take(order[i * each : (i + 1) * each]) for i in range(n)]
                learner = read if name == "first layer" else searched
                door = Federation(learner, 1, Sends.GRADIENT, secure=secure).train(clients, draw).updates(listens)
                if name == "first layer":
                    rebuilt = read_first_layer(door, read)
                else:
                    labels = [np.array([part.y[0] for part in clients])] if secure else None
                    attack = InvertGradients(variation=1e-4)
                    rebuilt = invert_rounds(door, searched, attack, rng, labels)
                found.append(given_back(rebuilt, clients, digits.take(order[1000 : 1000 + n * each])))
            back, chance, like, control = (
                np.array([getattr(one, what) if one_number else getattr(one, what).mean() for one in found])
                for what, one_number in (("exact", True), ("by_chance", True), ("likeness", False), ("control", False))
            )
            exact[name, n, each, secure] = back
            sees, spread = (
                "the sum" if secure else "single",
                f"{like.mean():.3f} ({like.min():.3f} to {like.max():.3f})",
            )
            print(
                f"{name:13}{n:7}{each:8}  {sees:8}{back.mean():<12.1%}{chance.mean():<10.1%}{spread:24}"
                f"{control.mean():.3f}",
                flush=True,
            )
    print("'given back': a correlation of at least 0.995; the labels in a sum are told to the attacker who inverts it;")
    print("5 draws of clients, 2 where gradients are inverted")
    summed, single = exact["first layer", 64, 8, True].mean(), exact["first layer", 64, 8, False].mean()
    return bool(exact["first layer", 64, 1, False].min() == 1 and summed <= single / 50)


def main(seed: int) -> int:
    good = sums(seed) & seen(seed)
    print("goals reached" if good else "GOAL MISSED")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
