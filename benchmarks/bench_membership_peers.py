"""Membership attacks beside PrivacyGuard's and a plain LiRA: one digits CNN a target, the same 16 references for all.

1,200 digits with 20 % of the labels changed; every network is trained on a random half of them for 120 epochs, and 597
more are the population. The references are eight complementary pairs. The targets come from a plain loop, which also
says what the references cost whoever uses a tool without an engine; ours trains the same recipe. The first targets
choose among M002, M003 and M004; the others are opened once. Goals, over those: AUC and TPR at 1 % FPR at least those
of every peer on the mean (to three digits: two of them are our formula), above one with an interval that excludes 0,
and less CPU time with the training included.

PrivacyGuard runs in .venv-peers (PEERS_PYTHON names another one).
Run: python benchmarks/bench_membership_peers.py [seed]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray as Array
from recorded import Game, mean_and_interval, told
from scipy.stats import norm
from torch import nn

from safelight.attacks.confidence import confidence
from safelight.attacks.membership.bavaria import Bavaria
from safelight.attacks.membership.lira import Lira
from safelight.attacks.membership.loss import LossThreshold, log_odds
from safelight.attacks.membership.rmia import Rmia
from safelight.compute.shadows import ShadowPool
from safelight.data.bundled import digits
from safelight.data.records import Records
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images

REFERENCES, CHOOSING, TARGETS, ASKED, EPOCHS = 16, 4, 12, 1200, 120
OURS = {"M002 RMIA": Rmia(), "M003 LiRA": Lira(), "M004 BaVarIA": Bavaria()}
HERE = Path(__file__).parent
PYTHON = os.environ.get("PEERS_PYTHON", str(HERE.parent / ".venv-peers/bin/python"))


def network(classes: int) -> nn.Module:
    """38,282 weights for 8 x 8 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def plain_training(records: Records, inside: Array) -> Array:
    """Train one network as tutorials do; return its answers (n, classes) to all records."""
    x, y, own = torch.as_tensor(records.x), torch.as_tensor(records.y), torch.as_tensor(np.flatnonzero(inside))
    net = network(10)
    steps, loss = torch.optim.Adam(net.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for rows in own[torch.randperm(len(own))].split(64):
            steps.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            steps.step()
    with torch.no_grad():
        return torch.softmax(net(x).double(), 1).numpy()


def plain_lira(odds: Array, references: Array, inside: Array) -> Array:
    """LiRA in six lines: a mean for each record, one deviation for all (Carlini et al. 2022, algorithm 1)."""
    into, out = np.where(inside, references, np.nan), np.where(inside, np.nan, references)
    in_mean, out_mean = np.nanmean(into, 0), np.nanmean(out, 0)
    in_spread, out_spread = np.nanstd(into - in_mean), np.nanstd(out - out_mean)
    return norm.logpdf(odds, in_mean, in_spread) - norm.logpdf(odds, out_mean, out_spread)


def privacyguard(odds: Array, sure: Array, member: Array, inside: Array) -> dict[str, tuple[Array, float]]:
    """Return scores (targets, asked) and CPU seconds a target by attack; models are targets first, then references."""
    with tempfile.TemporaryDirectory() as folder:
        given, back = Path(folder) / "in.npz", Path(folder) / "out.npz"
        t = len(member)
        arrays = {"odds": odds[:t], "odds_references": odds[t:], "sure": sure[:t], "sure_references": sure[t:]}
        np.savez(given, member=member, inside=inside, **arrays)
        subprocess.run([PYTHON, str(HERE / "privacyguard_attacks.py"), str(given), str(back)], check=True)
        with np.load(back) as file:
            names = [name for name in file.files if not name.startswith("seconds")]
            return {f"PrivacyGuard {name}": (file[name], float(file[f"seconds {name}"])) for name in names}


def main(seed: int) -> int:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    records = digits()
    records = records.take(rng.permutation(len(records)))
    changed = rng.random(len(records)) < 0.2
    records = records.relabelled(np.where(changed, (records.y + rng.integers(1, 10, len(records))) % 10, records.y))
    asked = records.take(np.arange(ASKED))

    member = np.stack([rng.permutation(ASKED) < ASKED // 2 for _ in range(CHOOSING + TARGETS)])
    plain_training(records, member[0])  # what torch loads once is in no figure
    started = time.process_time()
    targets = np.stack([plain_training(records, row) for row in member])
    usual = (time.process_time() - started) / len(member)

    started = time.process_time()
    recipe = TorchRecipe(network, Images((1, 8, 8)), EPOCHS, batch=64, rate=1e-3)
    references, inside = ShadowPool(recipe, seed).answers(asked, REFERENCES, records)
    engine = (time.process_time() - started) / REFERENCES

    right = targets[:, :ASKED].argmax(axis=2) == asked.y
    print(f"accuracy of the targets in {right[member].mean():.3f}, out {right[~member].mean():.3f}")
    print(f"CPU seconds a network: plain loop {usual:.2f}, our engine {engine:.2f}")

    known = np.hstack([inside, np.zeros((REFERENCES, len(records) - ASKED), dtype=bool)])
    games = [Game(records.y, target, row, references, known) for target, row in zip(targets, member)]
    models = np.concatenate([targets, references])
    y = np.broadcast_to(records.y, models.shape[:2])
    odds, sure = log_odds(models, y, 1e-45), confidence(models, y)

    scores, seconds = {}, {}
    for name, attack in {"M001 loss": LossThreshold(), **OURS}.items():
        started = time.process_time()
        scores[name] = np.stack([game.scores(attack) for game in games])
        seconds[name] = (time.process_time() - started) / len(games)
    peers = privacyguard(odds, sure, member, inside)
    started = time.process_time()
    shadows = odds[len(games) :, :ASKED]
    peers["plain LiRA"] = np.stack([plain_lira(odds[t, :ASKED], shadows, inside) for t in range(len(games))]), 0.0
    seconds["plain LiRA"] = (time.process_time() - started) / len(games)
    for name, (values, spent) in peers.items():
        scores[name] = values
        seconds.setdefault(name, spent)
    figures = {name: np.array([g.figures(row) for g, row in zip(games, rows)]) for name, rows in scores.items()}

    best = max(OURS, key=lambda name: figures[name][:CHOOSING].mean(axis=0).sum())
    print(f"chosen on {CHOOSING} targets: {best}; on the other {TARGETS}, means and 95 % intervals over targets:")
    print(f"{'attack':42}{'AUC':28}{'TPR at 1 % FPR':28}{'CPU s a target':>15}")
    for name, values in figures.items():
        auc, tpr = (told(values[CHOOSING:, column]) for column in (0, 1))
        print(f"{name:42}{auc:28}{tpr:28}{seconds[name]:15.3f}")
    print(f"{best} minus")
    least, ahead = True, False
    for name in peers:
        gains = (figures[best] - figures[name])[CHOOSING:]
        print(f"{'  ' + name:42}{told(gains[:, 0]):28}{told(gains[:, 1]):28}")
        for mean, low, _ in (mean_and_interval(column) for column in gains.T):
            least, ahead = least and round(mean, 3) >= 0, ahead or low > 0
    ours = REFERENCES * engine + seconds[best]
    theirs = REFERENCES * usual + min(seconds[name] for name in peers)
    print(f"CPU seconds with {REFERENCES} references trained: ours {ours:.1f}, others {theirs:.1f}")
    good = least and ahead and ours < theirs
    print("all goals reached" if good else "GOAL MISSED")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
