"""Mislabelled copies in the training data: how much more does the same model tell of the same records?

Which of 40 digits (of 20 patients) were trained on, with 0, 1, 4 and 16 copies of each with a wrong label in the
training data; guesses are the surer half, from 16 shadow models. Run: python benchmarks/truth_serum.py
"""

from __future__ import annotations

from dataclasses import dataclass

import canary_coins
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from safelight.attacks.poisoning.truth_serum import TruthSerum
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.data.records import Records, Splits
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.recipes.torch import TorchRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel

COPIES = (0, 1, 4, 16)


@dataclass(frozen=True)
class Fixed(PoisonedCoins):
    """The same number of records in question, however many copies of each there are."""

    targets: int = 40

    def count(self, data: Splits) -> int:
        return self.targets


def digits() -> Splits:
    bunch = load_digits()
    # Some corner pixels are always 0.
    x = (bunch.images - bunch.images.mean(axis=0)) / np.maximum(bunch.images.std(axis=0), 1e-8)
    everyone = Records.of(x[:, None], bunch.target)
    order = np.random.default_rng(1).permutation(len(everyone))
    return Splits(*(everyone.take(rows) for rows in np.split(order, [600, 900])))


def network(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, classes))


def case(model: str) -> tuple[Splits, Recipe, int]:
    """Return data, how the model is trained, and the number of records in question."""
    if model == "digits network":
        return digits(), TorchRecipe(network, Images((1, 8, 8), -20, 20), epochs=40, batch=64, rate=2e-3), 40
    estimator = RandomForestClassifier(30) if model == "cancer forest" else canary_coins.MODELS["logistic"]
    return canary_coins.patients(), SklearnRecipe(estimator), 20


def trial(model: str, copies: int, runs: int) -> tuple[Guesses, float]:
    """Return right guesses over all runs, and the mean accuracy on records that nobody trained on."""
    splits, recipe, targets = case(model)
    coins = Fixed(copies=copies, targets=targets)
    total, accuracy, others = Guesses(0, 0, 0, 2), [], splits.public
    assert others is not None
    for run in range(runs):
        rng = np.random.default_rng([run, 8])  # the same records and coins for every number of copies
        draw = coins.flip(splits, rng)
        target = recipe.fit(draw.train, run)
        accuracy.append(float((target.model.labels(others.x) == others.y).mean()))
        view = target.view(ThreatModel(Access.SCORES), Side(others, ShadowPool(recipe)))
        belief = draw.match(TruthSerum().run(view, draw.question, rng))
        total = total + guess(belief, draw.secret, coins.share, rng)
    return total, float(np.mean(accuracy))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, repeats in {"digits network": 5, "cancer forest": 10, "cancer logistic": 10}.items():
        for number in COPIES:
            found, right = trial(name, number, repeats)
            print(f"{name:16}{number:3} copies  {found.right}/{found.guesses} = {found.right / found.guesses:.3f}  "
                  f"accuracy {right:.3f}", flush=True)  # fmt: skip
