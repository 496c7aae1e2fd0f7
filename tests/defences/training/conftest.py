"""An over-fitted target that several defences are tried on, and how much it tells of its members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from torch import nn

from safelight.attacks.membership.loss import log_odds
from safelight.data.records import Records, Split, Splits, concat
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images


def small(classes: int) -> nn.Module:
    layers = (nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, classes))
    return nn.Sequential(*layers)


@pytest.fixture(scope="session")
def plain() -> TorchRecipe:
    """Forty passes over few records: it learns them by heart."""
    return TorchRecipe(small, Images((1, 8, 8)), epochs=40, batch=40, rate=5e-3)


@pytest.fixture(scope="session")
def brief(plain: TorchRecipe) -> TorchRecipe:
    """The same for three passes: what two trainings have in common shows soon."""
    return replace(plain, epochs=3)


@pytest.fixture(scope="session")
def noisy(digits: Records) -> Splits:
    """Digits of which two labels in five are drawn anew, to be learnt by heart; public ones are clean."""
    rng = np.random.default_rng(7)
    order = rng.permutation(len(digits))
    flipped = np.where(rng.random(len(digits)) < 0.4, rng.integers(0, 10, len(digits)), digits.y)
    members, nonmembers = (digits.relabelled(flipped).take(rows) for rows in (order[:200], order[200:400]))
    return Splits(members, nonmembers, digits.take(order[400:1000]), drawn=Split.RANDOM)


@pytest.fixture(scope="session")
def leak():
    """Return `leak(recipe, splits)`: the AUC of the loss threshold for each of three seeds."""

    def measured(recipe, splits, seeds=(0, 1, 2)):
        everyone = concat([splits.members, splits.nonmembers])
        inside = np.arange(len(everyone)) < len(splits.members)
        aucs = []
        for seed in seeds:
            scores = recipe.fit(splits.members, seed).model.scores(everyone.x)
            aucs.append(roc_auc_score(inside, log_odds(scores, everyone.y, 1e-30)))
        return np.array(aucs)

    return measured


@pytest.fixture(scope="session")
def plain_leak(plain, noisy, leak):
    """About 0.79 for every seed."""
    return leak(plain, noisy)
