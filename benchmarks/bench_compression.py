"""What compression costs and what it leaves of a leak: accuracy, bytes, time a query, membership; before and after.

1,200 digits with 20 % of the labels drawn anew; each network learns a random half of them. Six targets are attacked by
M001 (no reference models) and M003 (LiRA, 12 reference models that are trained and compressed alike: the attacker knows
the defence). The last row is a network as small as the student that was trained on the labels, without a teacher.
Accuracy is that on the true labels of the half that a target never saw. Figures are means over targets
with 95 % t-intervals; what a compression changes is paired, target by target, with the plain network of the same
records and seed. Time is that of 1,000 answers of one process, as a ratio to the plain network's.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_compression.py [seed]
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy import ndarray as Array
from recorded import Game, told
from torch import nn

from safelight.attacks.membership.lira import Lira
from safelight.attacks.membership.loss import LossThreshold
from safelight.data.bundled import digits
from safelight.data.records import Records
from safelight.defences.base import describe
from safelight.defences.compression.low_rank import LowRank
from safelight.defences.compression.pruning import Pruning
from safelight.defences.compression.quantisation import Quantisation
from safelight.defences.compression.size import size
from safelight.defences.compression.student import Student, student
from safelight.recipes.base import Recipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Target

ASKED, TARGETS, REFERENCES = 1200, 6, 12
DEFENCES = (
    Quantisation(8),
    Quantisation(4),
    Quantisation(2),
    Pruning(0.7, tune=0),
    Pruning(0.7, tune=5),
    Pruning(0.9, tune=5),
    LowRank(0.5, tune=0),
    LowRank(0.5, tune=5),
    Student(32),
)


def network(classes: int) -> nn.Module:
    """17,226 weights for 8 x 8 pixels."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, classes)
    )


def seconds(target: Target, x: Array, repeats: int = 15) -> float:
    """Return the median seconds of one pass over x."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        target.model.scores(x)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def measured(recipe: Recipe, records: Records, true: Array, inside: Array) -> tuple[Array, Target]:
    """Return accuracy, bytes, AUC of M001, AUC and TPR at 1 % FPR of M003 of each target (targets, 5); and one target.

    Args:
        records: with noisy labels.
        true: (n,) true labels.
        inside: (targets + references, n) what each network learns.
    """
    nets = [recipe.fit(records.take(row), seed) for seed, row in enumerate(inside)]
    answers = np.stack([net.model.scores(records.x) for net in nets])
    rows = []
    for number in range(TARGETS):
        game = Game(records.y, answers[number], inside[number], answers[TARGETS:], inside[TARGETS:])
        right = (answers[number].argmax(axis=1) == true)[~inside[number]].mean()
        loss, lira = (game.figures(game.scores(attack)) for attack in (LossThreshold(), Lira(references=REFERENCES)))
        rows.append((right, size(nets[number]), loss[0], *lira))
    return np.array(rows), nets[0]


def main(seed: int) -> int:
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    everyone = digits()
    everyone = everyone.take(rng.permutation(len(everyone))[:ASKED])
    changed = rng.random(ASKED) < 0.2
    records = everyone.relabelled(np.where(changed, rng.integers(0, 10, ASKED), everyone.y))
    halves = [rng.permutation(ASKED) < ASKED // 2 for _ in range(TARGETS + REFERENCES // 2)]
    pairs = [row for half in halves[TARGETS:] for row in (half, ~half)]
    inside = np.stack([*halves[:TARGETS], *pairs])

    recipe = TorchRecipe(network, Images((1, 8, 8)), epochs=50, batch=64, rate=2e-3)
    started = time.process_time()
    plain, first = measured(recipe, records, everyone.y, inside)
    one, many = everyone.x[:1], everyone.x[:1000]
    print(f"{TARGETS} targets, {REFERENCES} references; means and 95 % intervals over targets")
    print(f"{'':28}{'accuracy':28}{'bytes':>8}  {'AUC of M001':28}{'AUC of M003':28}{'TPR of M003 at 1 % FPR'}")
    print(
        f"{'plain':28}{told(plain[:, 0]):28}{plain[0, 1]:8.0f}  {''.join(f'{told(plain[:, k]):28}' for k in (2, 3, 4))}"
    )
    print("minus plain, target by target; bytes and seconds as ratios")
    print(
        f"{'':28}{'accuracy':28}{'bytes':>8}  {'AUC of M001':28}{'AUC of M003':28}{'TPR':28}{'1 answer':>9}{'1,000':>7}"
    )
    small = replace(recipe, module=partial(student, 64, 32))
    tried = {describe(defence): defence(recipe) for defence in DEFENCES} | {"32 hidden, no teacher": small}
    for name, smaller in tried.items():
        rows, target = measured(smaller, records, everyone.y, inside)
        gain = rows - plain
        taken = [seconds(target, x) / seconds(first, x) for x in (one, many)]
        share = rows[:, 1].mean() / plain[:, 1].mean()
        leak = "".join(f"{told(gain[:, k]):28}" for k in (2, 3, 4))
        print(f"{name:28}{told(gain[:, 0]):28}{share:8.3f}  {leak}{taken[0]:9.2f}{taken[1]:7.2f}", flush=True)
    print(f"CPU seconds: {time.process_time() - started:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
