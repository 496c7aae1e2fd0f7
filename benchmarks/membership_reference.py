"""Membership attacks at a reference setting: digits and breast cancer, small MLPs, half of the records in each model.

64 networks are trained as one stacked tensor program, in complementary pairs; 16 of them are targets in turn. The
references of a target are other networks, never its own partner. Scores come from the package's own functions; the
population of RMIA is the target's nonmembers. Run: python benchmarks/membership_reference.py [digits|cancer]
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.metrics import roc_auc_score, roc_curve

from safelight.attacks.base import attack_of
from safelight.attacks.confidence import confidence
from safelight.attacks.membership.bavaria import prediction
from safelight.attacks.membership.lira import online_ratio
from safelight.attacks.membership.loss import log_odds
from safelight.attacks.membership.quantile import expected
from safelight.attacks.membership.rmia import log_ratios, offline_usual, share_beaten
from safelight.data.records import Records
from safelight.evidence import WhoWasIn
from safelight.targets.base import Images, Side, Target
from safelight.targets.recalled import recalled
from safelight.threat import ThreatModel

MODELS, TARGETS = 64, 16
REFERENCES = {"M001 loss": 0, "M002 RMIA": 4, "M003 LiRA": 16, "M004 BaVarIA": 16}


@dataclass(frozen=True)
class Setting:
    """One data set and how its networks are trained; `expected` are the AUCs to reach, within 0.02."""

    name: str
    width: int
    epochs: int
    batch: int
    expected: dict[str, float]


SETTINGS = (
    Setting("digits", 128, 40, 64, {"M001 loss": 0.540, "M002 RMIA": 0.616, "M003 LiRA": 0.643, "M004 BaVarIA": 0.641}),
    Setting("cancer", 64, 60, 64, {"M001 loss": 0.513, "M002 RMIA": 0.559, "M003 LiRA": 0.541, "M004 BaVarIA": 0.550}),
)


def data_of(name: str) -> tuple[Array, Array]:
    x, y = (load_digits if name == "digits" else load_breast_cancer)(return_X_y=True)
    # Some corner pixels of the digits are always 0.
    return ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-8)).astype(np.float32), y


def trained(x: Array, y: Array, inside: Array, setting: Setting, seed: int) -> Array:
    """Train one network a row of `inside` (models, n) on its records; returns probabilities (models, n, classes)."""
    generator = torch.Generator().manual_seed(seed)
    models, classes, size = len(inside), int(y.max()) + 1, int(inside[0].sum())
    shapes = [(x.shape[1], setting.width), (1, setting.width), (setting.width, classes), (1, classes)]
    incoming = [x.shape[1], x.shape[1], setting.width, setting.width]
    weights = [
        ((torch.rand(models, *shape, generator=generator) * 2 - 1) * count**-0.5).requires_grad_()
        for shape, count in zip(shapes, incoming)
    ]
    w1, b1, w2, b2 = weights
    steps = torch.optim.Adam(weights, lr=2e-3)
    own = torch.as_tensor(np.stack([np.flatnonzero(row) for row in inside]))
    images, labels = torch.as_tensor(x), torch.as_tensor(y)

    def logits(batch: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(b2, torch.relu(torch.baddbmm(b1, batch, w1)), w2)

    for _ in range(setting.epochs):
        order = own.gather(1, torch.rand(models, size, generator=generator).argsort(dim=1))
        for rows in order.split(setting.batch, dim=1):
            answers = logits(images[rows])
            losses = torch.nn.functional.cross_entropy(
                answers.reshape(-1, classes), labels[rows].reshape(-1), reduction="none"
            )
            steps.zero_grad()
            # A mean in each network and a sum over networks: Adam then trains each as if it were alone.
            losses.reshape(models, -1).mean(dim=1).sum().backward()
            steps.step()
    with torch.no_grad():
        everyone = images.expand(models, *images.shape)
        return torch.softmax(logits(everyone).double(), dim=2).numpy()


def networks(setting: Setting, seed: int, models: int) -> tuple[Array, Array, Array, Array, Generator]:
    """Return inputs, labels, who was in which network (models, n), its probabilities (models, n, classes), and rng."""
    rng = np.random.default_rng(seed)
    x, y = data_of(setting.name)
    # An odd record out is dropped, so that both partners train on equally many.
    keep = np.sort(rng.permutation(len(x))[: len(x) // 2 * 2])
    x, y = x[keep], y[keep]
    inside = np.zeros((models, len(x)), dtype=bool)
    for pair in range(0, models, 2):
        inside[pair, rng.permutation(len(x))[: len(x) // 2]] = True
        inside[pair + 1] = ~inside[pair]
    return x, y, inside, trained(x, y, inside, setting, seed), rng


def quantile(setting: Setting, seed: int, targets: int = TARGETS) -> Array:
    """Return (targets, 3): AUC of the loss, AUC of M005, and its share of nonmembers above its 95 % quantile.

    A random half of the nonmembers is public; all members and the other half are judged.
    """
    x, y, inside, scores, rng = networks(setting, seed, targets)
    odds = log_odds(scores, np.broadcast_to(y, scores.shape[:2]), 1e-30)
    features = np.hstack([x, np.eye(int(y.max()) + 1)[y]])
    rows = []
    for target in range(targets):
        public, others = np.array_split(rng.permutation(np.flatnonzero(~inside[target])), 2)
        judged = np.concatenate([np.flatnonzero(inside[target]), others])
        mean, spread = expected(features[public], odds[target, public], features[judged], rounds=50)
        member, above = inside[target, judged], (odds[target, judged] - mean) / spread
        aucs = (roc_auc_score(member, each) for each in (odds[target, judged], above))
        rows.append((*aucs, float((above[~member] > 1.645).mean())))
    return np.array(rows)


def population(setting: Setting, seed: int, targets: int = TARGETS) -> Array:
    """Return (targets, 3): AUC of the loss, AUC of M007, and its share of nonmembers above 95 % of the population.

    A random half of the nonmembers is public; all members and the other half are judged.
    """
    x, y, inside, scores, rng = networks(setting, seed, targets)
    everyone, rows = Records.of(x[:, None, None], y), []
    for target in range(targets):
        public, others = np.array_split(rng.permutation(np.flatnonzero(~inside[target])), 2)
        judged = np.concatenate([np.flatnonzero(inside[target]), others])
        model = recalled(everyone.x, scores[target], Images((1, 1, x.shape[1])), tuple(map(str, range(y.max() + 1))))
        view = Target("network", model).view(ThreatModel(), Side(everyone.take(public)))
        found = [
            attack_of(code)().run(view, WhoWasIn(everyone.take(judged)), rng).values[:, 0] for code in ("M001", "M007")
        ]
        member = inside[target, judged]
        rows.append((*(roc_auc_score(member, each) for each in found), float((found[1][~member] > 0.95).mean())))
    return np.array(rows)


def run(setting: Setting, seed: int, models: int = MODELS, targets: int = TARGETS) -> dict[str, tuple[float, ...]]:
    """Return (AUC, TPR at 1 % FPR, TPR at 0.1 % FPR) by attack, over all targets' scores pooled, and accuracies."""
    _, y, inside, scores, rng = networks(setting, seed, models)
    sure = confidence(scores, np.broadcast_to(y, scores.shape[:2]))
    odds = log_odds(scores, np.broadcast_to(y, scores.shape[:2]), 1e-30)
    member: list[Array] = []
    found: dict[str, list[Array]] = {name: [] for name in setting.expected}
    for target in range(targets):
        pairs = rng.permutation(np.delete(np.arange(models // 2), target // 2))
        for name, values in found.items():
            chosen = pairs[: REFERENCES[name] // 2]
            others = np.concatenate([2 * chosen, 2 * chosen + 1])
            values.append(_scored(name, target, others, sure, odds, inside))
        member.append(inside[target])
    truth = np.concatenate(member)
    right = scores.argmax(axis=2) == y
    result = {"accuracy in, out": (float(right[inside].mean()), float(right[~inside].mean()))}
    for name, values in found.items():
        fpr, tpr, _ = roc_curve(truth, np.concatenate(values))
        low = [float(tpr[np.searchsorted(fpr, level, side="right") - 1]) for level in (0.01, 0.001)]
        result[name] = (float(roc_auc_score(truth, np.concatenate(values))), *low)
    return result


def _scored(name: str, target: int, others: Array, sure: Array, odds: Array, inside: Array) -> Array:
    """Return the scores (n,) of one target by one attack; `others` are its references."""
    if name == "M001 loss":
        return odds[target]
    if name == "M002 RMIA":
        ratios = log_ratios(sure[target], offline_usual(sure[others], ~inside[others], 0.3))
        return share_beaten(ratios, ratios[~inside[target]], 1.0)
    if name == "M003 LiRA":
        return online_ratio(odds[target], odds[others], inside[others], fixed=True)
    into, out = (prediction(odds[others], side, 0.1, 2.0) for side in (inside[others], ~inside[others]))
    return into.logpdf(odds[target]) - out.logpdf(odds[target])


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for setting in SETTINGS:
        if names and setting.name not in names:
            continue
        started = time.process_time()
        for name, values in run(setting, seed=0).items():
            goal = setting.expected.get(name)
            note = (
                "" if goal is None else f"  goal AUC {goal:.3f}  {'ok' if abs(values[0] - goal) <= 0.02 else 'MISSED'}"
            )
            print(f"{setting.name:8s}{name:18s}" + "  ".join(f"{value:.4f}" for value in values) + note)
        print(f"{setting.name:8s}CPU seconds       {time.process_time() - started:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
