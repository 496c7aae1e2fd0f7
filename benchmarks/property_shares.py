"""Did 30 or 50 % of the women that a model learnt from have affairs? The bundled survey, 1,070 women in each model.

Fair's affairs (statsmodels): the target predicts how happy a marriage is rated (five answers). It reads the column on
affairs, or does not; or the column is shuffled among all women and not read, so that nothing can tell. Features were
chosen with the rows of `choosing`; members and public records here are all of `reporting`.

Run: python benchmarks/property_shares.py [runs]
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace

import attribute_coins
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.attacks.properties.shares import TrainingShares
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.base import Guesses, guess
from safelight.controls.coins.properties import PropertyCoins
from safelight.data.records import Splits
from safelight.measures.binomial import clopper_pearson
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel

COINS = PropertyCoins("affairs", 1)
MODELS = {
    "forest": RandomForestClassifier(30),
    "logistic": LogisticRegression(),
    "MLP": MLPClassifier((32,), max_iter=40),
}


def splits(shuffled: bool) -> Splits:
    everyone, _, reporting = attribute_coins.survey()
    rng = np.random.default_rng(0)
    records = everyone.take(rng.permutation(reporting))
    if shuffled:
        records = replace(records, x=records.x.assign(affairs=rng.permutation(records.x["affairs"].to_numpy())))
    return Splits(records.take(np.arange(1600)), public=records.take(np.arange(1600, len(records))))


def trial(model: str, reads: bool, shuffled: bool = False, runs: int = 60) -> Guesses:
    """Return right guesses over all runs, one a run; `reads` says whether the model reads the column."""
    read = [] if reads else ["affairs"]
    estimator = make_pipeline(
        make_column_transformer(("drop", read), remainder="passthrough"), StandardScaler(), MODELS[model]
    )
    data, recipe, total = splits(shuffled), SklearnRecipe(estimator), Guesses(0, 0, 0, 2)
    side = Side(data.public, ShadowPool(recipe))
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for run in range(runs):
            rng = np.random.default_rng([run, 8])
            draw = COINS.flip(data, rng)
            view = recipe.fit(draw.train, run).view(ThreatModel(Access.SCORES), side)
            belief = draw.match(TrainingShares().run(view, draw.question, rng))
            total = total + guess(belief, draw.secret, COINS.share, rng)
    return total


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    for name in MODELS:
        for words, settings in {"not read": (False,), "read": (True,), "shuffled, not read": (False, True)}.items():
            found = trial(name, *settings, runs=number)
            low, high = clopper_pearson(found.right, found.guesses, 0.95)
            print(f"{name:10}{words:20}{found.right}/{found.guesses} = {found.right / found.guesses:.3f} "
                  f"[{low:.2f}, {high:.2f}]", flush=True)  # fmt: skip
