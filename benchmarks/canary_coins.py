"""Canaries beside ordinary records: how much of the worst case does an average hide? Breast cancer, 300 members.

Both are guessed by the same score from 16 shadow models. Run: python benchmarks/canary_coins.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.attacks.base import attack_of
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Coins, Guesses, guess
from safelight.controls.coins.canaries import CanaryCoins
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Records, Splits
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel

MODELS = {
    "forest": RandomForestClassifier(100),
    "leaves of 5": RandomForestClassifier(100, min_samples_leaf=5),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "MLP": make_pipeline(StandardScaler(), MLPClassifier((64,), max_iter=1000)),
}


def patients() -> Splits:
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data, bunch.target)
    order = np.random.default_rng(1).permutation(len(everyone))
    return Splits(*(everyone.take(rows) for rows in np.split(order, [300, 400])))


def trial(code: str, coins: Coins, model: str, runs: int) -> tuple[Guesses, dict[str, float]]:
    """Return right guesses over all runs, and the share of right guesses by kind with every coin guessed."""
    splits, recipe = patients(), SklearnRecipe(MODELS[model])
    total, kinds = Guesses(0, 0, 0, 2), {}
    for run in range(runs):
        rng = np.random.default_rng([run, 8])
        draw, side = coins.flip(splits, rng), Side(splits.public, ShadowPool(recipe))
        view = recipe.fit(draw.train, run).view(ThreatModel(Access.SCORES), side)
        belief = draw.match(attack_of(code)().run(view, draw.question, rng))
        total = total + guess(belief, draw.secret, coins.share, rng)
        for name in np.unique(draw.group) if draw.group is not None else ():
            kinds.setdefault(str(name), []).append((belief.argmax(1) == draw.secret)[draw.group == name])
    return total, {name: float(np.concatenate(right).mean()) for name, right in kinds.items()}


def pair(model: str, runs: int = 8) -> tuple[Guesses, Guesses, dict[str, float]]:
    """Return guesses about ordinary records, guesses about canaries, and the canaries by kind."""
    ordinary, _ = trial("M004", RecordCoins(), model, runs // 2)
    return ordinary, *trial("M008", CanaryCoins(), model, runs)


if __name__ == "__main__":
    for name in MODELS:
        records, worst, kinds = pair(name)
        print(f"{name:12} records {records.right}/{records.guesses}  canaries {worst.right}/{worst.guesses}  "
              + ", ".join(f"{kind} {share:.2f}" for kind, share in kinds.items()))  # fmt: skip
