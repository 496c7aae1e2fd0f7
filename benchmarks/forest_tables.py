"""Whole tables rebuilt from forests, and the sensitive column that is read in them.

Breast cancer (scikit-learn): the first 12 columns, cut at their medians, and a made-up insurer (a fair coin). A model
learns the diagnosis of 100 patients. First its table is rebuilt from the model alone: the share of wrong cells after
the best matching of rows, beside tables drawn column by column from the 469 other patients. Then the insurer of 25
patients is decided by coins, and A004 (leaf counts) and A006 (the rebuilt table) guess them all.

Run: python benchmarks/forest_tables.py [seeds]
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.attributes.forest import ForestReconstruction
from safelight.attacks.attributes.rebuild import rebuild
from safelight.attacks.attributes.tree import TreeCounts
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import guess
from safelight.data.records import Records, Splits
from safelight.measures.table_error import chance_error, table_error
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel

MODELS: dict[str, Any] = {
    "default forest": RandomForestClassifier(),
    "bootstrap=False": RandomForestClassifier(bootstrap=False),
    "leaves of 5": RandomForestClassifier(min_samples_leaf=5),
    "depth 4": RandomForestClassifier(max_depth=4),
    "10 trees": RandomForestClassifier(10),
    "extra trees": ExtraTreesClassifier(),
    "single tree": DecisionTreeClassifier(),
}
WITHOUT_SEEDS = "default forest, seeds deleted"


def patients(count: int, seed: int) -> tuple[Records, Records]:
    """Return the patients who are trained on, and all others."""
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.iloc[:, :12]
    table = (table > table.median()).astype(int)
    table["insurer"] = np.random.default_rng(3).integers(0, 2, len(table))
    everyone = Records.of(table, bunch.target.to_numpy())
    order = np.random.default_rng([seed, 11]).permutation(len(everyone))
    return everyone.take(order[:count]), everyone.take(order[count:])


def errors(name: str, seed: int, count: int = 100) -> tuple[float, float, int]:
    """Return the share of wrong cells, that of tables drawn by chance, and the trees whose counts are fitted."""
    members, others = patients(count, seed)
    model = MODELS["default forest" if name == WITHOUT_SEEDS else name]
    fitted = SklearnRecipe(model).fit(members, seed).model.estimator()
    whole = [True] * members.x.shape[1]
    if name == WITHOUT_SEEDS:
        found = rebuild(fitted, whole=whole, trees=30, seeds=False)
    else:
        found = rebuild(fitted, whole=whole)
    x, public = members.x.to_numpy(), others.x.to_numpy()
    return table_error(found.table.x, x), chance_error(public, x, np.random.default_rng(seed)), int(found.trees.min())


def coins(name: str, seed: int) -> tuple[int, int]:
    """Return how many of 25 coins A004 and A006 guess right."""
    members, others = patients(100, seed)
    draw = AttributeCoins("insurer", share=1.0).flip(Splits(members), np.random.default_rng([seed, 1]))
    view = SklearnRecipe(MODELS[name]).fit(draw.train, seed).view(ThreatModel(Access.WEIGHTS), Side(others))
    right = [
        guess(
            draw.match(attack.run(view, draw.question, np.random.default_rng([seed, 2]))),
            draw.secret,
            1.0,
            np.random.default_rng([seed, 3]),
        ).right
        for attack in (TreeCounts(), ForestReconstruction())
    ]
    return right[0], right[1]


def main(seeds: int) -> None:
    print("share of wrong cells (by chance), least trees fitted; right of 25 coins by A004 and A006; means over seeds")
    for name in (*MODELS, WITHOUT_SEEDS):
        started = time.process_time()
        found = np.array([errors(name, seed) for seed in range(seeds)])
        line = f"{name:32s}{found[:, 0].mean():.3f} ({found[:, 1].mean():.3f}) {found[:, 2].min():4.0f}"
        if name in MODELS:
            right = np.array([coins(name, seed) for seed in range(seeds)])
            line += f"   {right[:, 0].mean():5.1f} {right[:, 1].mean():5.1f}"
        print(f"{line}   CPU {(time.process_time() - started) / seeds:.0f} s a seed", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="The rebuilt table fits", category=UserWarning)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
