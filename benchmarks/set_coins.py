"""Sets of ten records beside single ones: what is weak in one record adds up. Digits, logistic regression.

Run: python benchmarks/set_coins.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from safelight.attacks.base import attack_of
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Coins, Guesses, guess
from safelight.controls.coins.records import RecordCoins
from safelight.controls.coins.sets import SetCoins
from safelight.data.records import Records, Splits
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, ThreatModel


def run(code: str, coins: Coins, runs: int = 5) -> Guesses:
    """Return right guesses over all runs."""
    bunch = load_digits()
    everyone = Records.of(bunch.images[:, None] / 16, bunch.target)
    order = np.random.default_rng(0).permutation(len(everyone))
    splits = Splits(*(everyone.take(rows) for rows in np.split(order, [900, 1200])))
    recipe, total = SklearnRecipe(LogisticRegression(max_iter=200), Images((1, 8, 8))), Guesses(0, 0, 0, 2)
    for number in range(runs):
        rng = np.random.default_rng([number, 8])
        draw, side = coins.flip(splits, rng), Side(splits.public, ShadowPool(recipe))
        view = recipe.fit(draw.train, number).view(ThreatModel(Access.SCORES), side)
        total = total + guess(
            draw.match(attack_of(code)().run(view, draw.question, rng)), draw.secret, coins.share, rng
        )
    return total


if __name__ == "__main__":
    for name, code, coins in (("single records", "M004", RecordCoins()), ("sets of ten", "M009", SetCoins())):
        found = run(code, coins)
        print(f"{name}: {found.right} of {found.guesses} right")
