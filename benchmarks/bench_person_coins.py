"""Person coins on the ORL faces: 20 classes, two people each, V001 on a linear and an MLP classifier, three runs.

Goal: at least 19 of 20 right in every run; untrained weights and models that never saw the candidates inside the band
of chance.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.stats import binom
from torch import nn

from safelight.attacks.inversion.pixels import GradientInversion
from safelight.controls.coins.base import Draw, guess
from safelight.controls.coins.classes import ClassCoins
from safelight.data.bundled import orl_faces
from safelight.data.records import Splits
from safelight.data.splits import random_split
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Target
from safelight.threat import Access, ThreatModel

SHAPE = Images((1, 56, 46))
WHITE_BOX = ThreatModel(Access.WEIGHTS)


def linear(people: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(SHAPE.size, people))


def mlp(people: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(SHAPE.size, 128), nn.ReLU(), nn.Linear(128, people))


def right(target: Target, draw: Draw, seed: int) -> tuple[int, int]:
    """Return right guesses and guesses of V001 on one model."""
    rng = np.random.default_rng(seed)
    answer = GradientInversion().run(target.view(WHITE_BOX), draw.question, rng)
    total = guess(draw.match(answer), draw.secret, 1.0, rng)
    return total.right, total.guesses


def main(runs: int = 3) -> bool:
    members, nonmembers = random_split(orl_faces(), 0.7, np.random.default_rng(0))
    splits, coins = Splits(members, nonmembers, class_is_person=True), ClassCoins(person=True)
    good = True
    print(f"{'model':8}{'coins':>24}{'untrained':>20}{'never saw':>20}{'CPU s':>8}")
    for name, module in (("linear", linear), ("mlp", mlp)):
        recipe = TorchRecipe(module, SHAPE, epochs=40, batch=32)
        started = time.process_time()
        found, untrained, stranger = [], [], []
        for seed in range(runs):
            draw = coins.flip(splits, np.random.default_rng([seed, 1]))
            found.append(right(recipe.fit(draw.train, seed), draw, seed))
            untrained.append(right(recipe.untrained(draw.train, seed), draw, seed))
            never = coins.never_saw(splits, np.random.default_rng([seed, 2]))
            stranger.append(right(recipe.fit(never.train, seed), never, seed))
        spent = time.process_time() - started
        cells = [" ".join(f"{r}/{n}" for r, n in row) for row in (found, untrained, stranger)]
        print(f"{name:8}{cells[0]:>24}{cells[1]:>20}{cells[2]:>20}{spent:8.1f}")
        good &= all(r >= 19 for r, _ in found)
        for row in (untrained, stranger):
            r, n = np.sum(row, axis=0)
            good &= bool(0.001 < binom.cdf(r, n, 0.5) < 0.9999)
    print("goal reached" if good else "GOAL MISSED")
    return good


if __name__ == "__main__":
    raise SystemExit(not main())
