"""An over-fitted target whose answers several defences harden, and what a loss threshold makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy import ndarray as Array
from sklearn.metrics import roc_auc_score
from torch import nn

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import Records, Split, Splits, concat
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Target


def small(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, classes))


@dataclass(frozen=True)
class Learnt:
    """What a network learnt by heart."""

    recipe: TorchRecipe
    splits: Splits
    targets: list[Target]

    @property
    def everyone(self) -> Records:
        return concat([self.splits.members, self.splits.nonmembers])

    @property
    def inside(self) -> Array:
        return np.arange(len(self.everyone)) < len(self.splits.members)

    def auc(self, scores: Array) -> float:
        """Return the AUC of the loss threshold on answers (n, classes) about everyone."""
        return roc_auc_score(self.inside, log_odds(scores, self.everyone.y, 1e-30))


@pytest.fixture(scope="session")
def learnt(digits: Records) -> Learnt:
    """Digits of which one label in five is drawn anew; three networks learn them by heart. Public ones are alike."""
    rng = np.random.default_rng(7)
    order = rng.permutation(len(digits))
    flipped = np.where(rng.random(len(digits)) < 0.2, rng.integers(0, 10, len(digits)), digits.y)
    noisy = digits.relabelled(flipped)
    splits = Splits(*(noisy.take(rows) for rows in np.split(order, [300, 600, 1200])[:3]), drawn=Split.RANDOM)
    recipe = TorchRecipe(small, Images((1, 8, 8)), epochs=30, batch=32, rate=3e-3)
    return Learnt(recipe, splits, [recipe.fit(splits.members, seed) for seed in range(3)])
