"""Pictures asked about by a copy that is moved by a pixel: the range beside the copy alone. Digits, a small network.

One label in five is wrong, so that the network learns by heart. Run: python benchmarks/range_coins.py
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy import ndarray as Array
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn

from safelight.attacks.membership.ranges import RangeMembership
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.ranges import RangeCoins
from safelight.data.records import Records, Splits
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel

SEEDS = tuple(range(200, 216))
"""Seen by no choice: neither of settings, nor of the share of wrong labels, nor of whether to build the attack."""


def network(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, classes))


def trial(seed: int, wrong: float = 0.2) -> tuple[float, float]:
    """Return the AUC of the range, and of the moved copy alone, on one target."""
    bunch, rng = load_digits(), np.random.default_rng([seed, 10])
    flipped = rng.random(len(bunch.target)) < wrong
    labels = np.where(flipped, rng.integers(0, 10, len(flipped)), bunch.target)
    everyone, order = Records.of(bunch.images[:, None] / 16, labels), rng.permutation(len(labels))
    splits = Splits(*(everyone.take(rows) for rows in np.split(order, [600, 1200])))
    recipe = TorchRecipe(network, Images((1, 8, 8)), epochs=40, batch=32, rate=2e-3)
    draw, side = RangeCoins().flip(splits, rng), Side(splits.public, ShadowPool(recipe, seed))
    target, found = recipe.fit(draw.train, seed), []
    for reach in (1, 0):
        view = target.view(ThreatModel(Access.SCORES), side)
        answer = RangeMembership().run(view, replace(draw.question, reach=reach), rng)  # type: ignore[type-var]
        found.append(float(roc_auc_score(draw.secret, draw.match(answer)[:, 1])))
    return found[0], found[1]


def run(wrong: float = 0.2) -> Array:
    """Return (seeds, 2), see `trial`."""
    return np.array([trial(seed, wrong) for seed in SEEDS])


if __name__ == "__main__":
    for wrong in (0.2, 0.0):
        found = run(wrong)
        gain = found[:, 0] - found[:, 1]
        ways = f"range {found[:, 0].mean():.3f}, copy alone {found[:, 1].mean():.3f}"
        print(f"{wrong:.0%} wrong labels: AUC {ways}, gain {gain.mean():+.4f} (sd {gain.std(ddof=1):.4f})")
