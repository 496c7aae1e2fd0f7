"""Attribute coins on the bundled survey: who of 300 women had her answer on affairs drawn by a coin, and how?

Fair's affairs (statsmodels): the target predicts how happy a marriage is rated (five answers) and reads whether there
were affairs. A fair coin decides that column for 300 rows, a model is trained on 6,000 rows, and each attack guesses
the 100 coins that it is surest of. Settings were chosen with coins among the rows of `choosing`; the figures come from
coins among `reporting`. The 366 rows that are not trained on, all from `choosing`, are public.

Run: python benchmarks/attribute_coins.py [seeds]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import statsmodels.api as sm
from numpy import ndarray as Array
from scipy.stats import t
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.attributes.csmia import Csmia
from safelight.attacks.attributes.fredrikson import Fredrikson
from safelight.attacks.attributes.imputation import impute
from safelight.attacks.attributes.lomia import Lomia
from safelight.attacks.attributes.tree import TreeCounts
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import guess
from safelight.data.records import Records, Splits, concat
from safelight.measures.one_run import mu_one_run
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import ThreatModel

COINS = AttributeCoins("affairs", most=300, share=1 / 3)
ATTACKS = {
    "A001": Fredrikson(),
    "A002": Csmia(),
    "A003": Lomia(),
    "A004": TreeCounts(),
}
MODELS = {
    "default forest": RandomForestClassifier(),
    "depth-4 tree": DecisionTreeClassifier(max_depth=4),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
}


def survey() -> tuple[Records, Array, Array]:
    """Return all records, and the rows that settings are chosen on and figures reported on."""
    table = sm.datasets.fair.load_pandas().data
    table["affairs"] = (table["affairs"] > 0).astype(int)
    y = table.pop("rate_marriage").astype(int).to_numpy() - 1
    order = np.random.default_rng(2024).permutation(len(table))
    return Records.of(table, y), order[: len(table) // 2], order[len(table) // 2 :]


def trial(name: str, seed: int) -> dict[str, int]:
    """Return how many of the 100 surest guesses are right, by attack."""
    everyone, choosing, reporting = survey()
    rng = np.random.default_rng([seed, 1])
    rest = rng.permutation(choosing)
    trained_too = 6000 - len(reporting)
    public = everyone.take(rest[trained_too:])
    draw = COINS.flip(Splits(everyone.take(reporting)), rng)
    target = SklearnRecipe(MODELS[name]).fit(concat([draw.train, everyone.take(rest[:trained_too])]), seed)
    right = {}
    for code, attack in ATTACKS.items():
        if code == "A004" and name == "logistic":
            continue
        view = target.view(ThreatModel(attack.needs), Side(public=public))
        answer = attack.run(view, draw.question, np.random.default_rng([seed, 2]))
        right[code] = guess(draw.match(answer), draw.secret, COINS.share, np.random.default_rng([seed, 3])).right
    answer = impute(public, draw.question, np.random.default_rng([seed, 2]))
    right["imputation"] = guess(answer.values, draw.secret, COINS.share, np.random.default_rng([seed, 3])).right
    return right


def main(seeds: int) -> None:
    print("right of 100 guesses, 300 coins; mu: lower bound (95 %, one claim) at the median seed, and its largest")
    for name in MODELS:
        started = time.process_time()
        results = [trial(name, seed) for seed in range(seeds)]
        for code in results[0]:
            counts = np.array([result[code] for result in results])
            half = t.ppf(0.975, seeds - 1) * counts.std(ddof=1) / seeds**0.5
            bounds = [mu_one_run(300, 100, int(count)) for count in (np.median(counts), counts.max())]
            print(
                f"{name:16s}{code:12s}mean {counts.mean():6.2f} +- {half:5.2f}  "
                f"least {counts.min():3d}  most {counts.max():3d}  mu {bounds[0]:.3f} {bounds[1]:.3f}"
            )
        print(f"{name:16s}CPU seconds {time.process_time() - started:.1f}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="LOMIA found", category=UserWarning)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
