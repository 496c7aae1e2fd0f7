"""Does what `recommend` confirms hold? A hundred searches on cheap models, each checked by a fresh audit.

`python benchmarks/bench_recommend.py [SEARCHES]`: half of them choose among settings of a decision tree against
attribute coins of the survey, half among settings of logistic regression against membership coins of digits; the
records, the coins and the limit are drawn anew each time. What was confirmed is then attacked on twenty further runs of
coins. The limit holds where the success of every attack there, without any margin, is within it (goal: in at least
95 %).
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
from bench_defences import survey_case
from numpy.random import Generator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from safelight.data.bundled import digits
from safelight.data.records import Split, Splits, concat
from safelight.measures.binomial import clopper_pearson
from safelight.measures.reidentification import mu_of_success, success_among
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import Access, ThreatModel
from safelight.tradeoff.case import Case, name_of
from safelight.tradeoff.grid import chain_of
from safelight.tradeoff.limit import Limit
from safelight.tradeoff.recommend import recommend

CHECK = 20
"""Runs of the further audit."""
TREE = [*(f"regularisation:min_samples_leaf={n}" for n in (5, 10, 20, 40, 80)), "output-policy:decimals=1"]
LINEAR = [*(f"regularisation:c={c}" for c in (1.0, 0.1, 0.01, 0.001)), "output-policy:decimals=1"]


def survey(rng: Generator) -> tuple[Case, list[str], Limit]:
    """Return a decision tree on 800 of the survey's respondents."""
    whole = survey_case()
    assert whole.splits.nonmembers is not None
    assert whole.splits.public is not None
    pool = concat([whole.splits.members, whole.splits.nonmembers, whole.splits.public])
    rows = np.split(rng.permutation(len(pool)), [800, 1600, 2200])[:3]
    splits = Splits(*(pool.take(row) for row in rows), Split.RANDOM, ("affair",))
    recipe = SklearnRecipe(DecisionTreeClassifier(random_state=0))
    case = Case(splits, whole.threat, recipe, int(rng.integers(2**31)), only=("A002",))
    return case, TREE, Limit("attribute", 2, float(rng.uniform(0.58, 0.75)))


def handwriting(rng: Generator) -> tuple[Case, list[str], Limit]:
    """Return logistic regression on 400 digits with one label in five wrong."""
    pool = digits()
    labels = np.where(rng.random(len(pool)) < 0.2, rng.integers(0, 10, len(pool)), pool.y)
    rows = np.split(rng.permutation(len(pool)), [400, 1200])[:2]
    splits = Splits(*(pool.relabelled(labels).take(row) for row in rows), drawn=Split.RANDOM)
    recipe = SklearnRecipe(LogisticRegression(C=100.0, max_iter=1000), Images((1, 8, 8)))
    case = Case(splits, ThreatModel(Access.SCORES), recipe, int(rng.integers(2**31)), only=("M001",))
    return case, LINEAR, Limit("membership", 2, float(rng.uniform(0.58, 0.75)))


def main(arguments: list[str]) -> int:
    """Print how often something was confirmed, and how often that held."""
    searches = int(arguments[0]) if arguments else 100
    for name, make in (("survey, decision tree", survey), ("digits, logistic regression", handwriting)):
        held = within = confirmed = 0
        reasons: dict[str, int] = {}
        started = time.process_time()
        for number in range(searches // 2):
            case, texts, limit = make(np.random.default_rng([2026, number]))
            found = recommend(case, [chain_of(text) for text in texts], limit, 0.2, start=1, runs=8)
            if found.chosen is None or found.chosen.most is None:
                reason = found.reason.partition(":")[0]
                reasons[reason] = reasons.get(reason, 0) + 1
                continue
            confirmed += 1
            chains = {name_of(chain): chain for chain in [(), *map(chain_of, texts)]}
            success = further(case, chains[found.chosen.name], limit)
            held += success <= limit.share
            within += success <= found.chosen.most
        spent = (time.process_time() - started) / max(1, searches // 2)
        low, high = clopper_pearson(held, confirmed) if confirmed else (0.0, 1.0)
        print(f"{name}: {searches // 2} searches of {spent:.1f} CPU s, {confirmed} confirmed")
        print(f"  the limit held in {held} of {confirmed} ({low:.2f} to {high:.2f}; goal .95)")
        print(f"  the upper limit printed with it held in {within} of {confirmed}", flush=True)
        for reason, count in reasons.items():
            print(f"  nothing recommended in {count}: {reason}")
    return 0


def further(case: Case, chain: tuple, limit: Limit) -> float:
    """Return how often the best attack finds one of the limit's k on coins of yet another seed."""
    fresh = replace(case, seed=case.seed + 77)
    recipe = fresh.defended(chain)
    target = recipe.fit(fresh.splits.members, fresh.seed)
    best = 0.0
    for claim, pool in fresh.attacked("further", recipe, target, CHECK):
        if claim.coins is not None and claim.coins.claim in limit.claims:
            total = pool.total()
            best = max(best, success_among(min(mu_of_success(total.right / total.guesses), 40.0), limit.k))
    return best


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
