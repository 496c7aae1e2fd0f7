"""500 membership audits of models that never saw the data, at 5 %: every claim, every operating point, one verdict.

Each audit deals breast-cancer patients out anew: 150 members, 150 nonmembers, 100 public and the rest strangers. The
model, and every model that the audit trains for coins, controls or reference, learns from two thirds of the strangers
and from nothing that it is given; every other audit has a grown tree, whose scores are tied, or naive Bayes, whose
scores are not. M001 to M005 are run with given-split claims and coins (M005 with fewer trees, for speed). Goal: at most
7.5 % of the audits find a leak. Run: python benchmarks/bench_null_membership.py [audits]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

import safelight as sl
from safelight.attacks.membership.quantile import QuantileRegression
from safelight.measures.binomial import clopper_pearson
from safelight.recipes.function import FunctionRecipe
from safelight.report.model import Report

ATTACKS = ["M001", "M002", "M003", "M004", "M005"]
COLUMNS = 10


def audit(seed: int) -> Report:
    x, y = load_breast_cancer(return_X_y=True)
    names = [f"column {number}" for number in range(COLUMNS)]
    everyone = sl.Records.of(pd.DataFrame(x[:, :COLUMNS], columns=names), y)
    order = np.random.default_rng([seed, 3]).permutation(len(y))
    *parts, strangers = (everyone.take(rows) for rows in np.split(order, [150, 300, 400]))
    splits = sl.Splits(*parts, drawn=sl.Split.RANDOM)
    tree = seed % 2 == 0

    def fit(_: sl.Records, seed: int) -> ClassifierMixin:
        rows = np.random.default_rng(seed).permutation(len(strangers))[: 2 * len(strangers) // 3]
        model = DecisionTreeClassifier(random_state=seed) if tree else GaussianNB()
        return model.fit(strangers.x.iloc[rows], strangers.y[rows])

    recipe = FunctionRecipe(fit)
    return sl.audit(
        recipe.fit(splits.members, seed),
        splits,
        sl.ThreatModel(sl.Access.SCORES),
        recipe=recipe,
        policy=sl.Policy(alpha=0.05),
        seed=seed,
        only=ATTACKS,
        tuned=[QuantileRegression(rounds=8)],
    )


def main(audits: int) -> int:
    started, alarms, claims, broken, ps = time.process_time(), [], 0, 0, []
    for seed in range(audits):
        report = audit(seed)
        claims += report.claims
        broken += report.verdict == "audit broken"
        ps += [finding.p for finding in report.findings if finding.p is not None]
        if any(finding.status == "leak" for finding in report.findings):
            alarms.append(seed)
    spent = time.process_time() - started
    rate = len(alarms) / audits
    low, high = clopper_pearson(len(alarms), audits)
    print(f"{audits} audits of {claims / audits:.1f} claims, {spent / audits:.2f} CPU s each, {broken} called broken")
    print(f"single claims with p below 0.05: {np.mean(np.array(ps) < 0.05):.1%} of {len(ps)}")
    print(f"false alarms {rate:.1%} (95 % interval {low:.1%} to {high:.1%}) {alarms}; goal: at most 7.5 %")
    return int(rate > 0.075)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
