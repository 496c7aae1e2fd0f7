"""Whole null audits: models that never saw the data, audited with coins, given-split claims and all. Level: 1 %.

150 audits of a table and 150 of images. Every one trains its models on strangers only, so any leak is a false alarm.
Goal: at most 3 % of the audits. Run: python benchmarks/bench_false_alarms.py [audits of each kind]
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import replace

import numpy as np
from proof import patients
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import safelight as sl
from safelight.data.records import concat
from safelight.recipes.function import FunctionRecipe
from safelight.report.model import Report
from safelight.verdict.finding import Verdict

SCORES = sl.ThreatModel(sl.Access.SCORES, queries=4_000)


def table_audit(seed: int) -> Report:
    """A grown tree that was trained on the public patients, whatever it is asked to train on."""
    known = patients()
    assert known.nonmembers is not None
    assert known.public is not None
    everyone = concat([known.members, known.nonmembers, known.public])
    order = np.random.default_rng([seed, 1]).permutation(len(everyone))
    parts = [everyone.take(rows) for rows in np.split(order, [250, 400])]
    strangers = parts[2]
    splits = sl.Splits(*parts, drawn=sl.Split.RANDOM, sensitive=("insurer",))

    def fit(_: sl.Records, seed: int) -> DecisionTreeClassifier:
        return DecisionTreeClassifier(random_state=seed).fit(strangers.x, strangers.y)

    recipe = FunctionRecipe(fit)
    return sl.audit(recipe.fit(splits.members, seed), splits, SCORES, recipe=recipe, seed=seed, only=["A", "M"])


def image_audit(seed: int) -> Report:
    """A linear classifier that was trained on noise, whatever it is asked to train on."""
    bunch = load_digits()
    digits = sl.Records.of(bunch.images[:, None] / 16, bunch.target)
    order = np.random.default_rng([seed, 2]).permutation(len(digits))
    members, nonmembers, public = (digits.take(rows) for rows in np.split(order[:900], [300, 600]))
    splits = sl.Splits(members, nonmembers, public, drawn=sl.Split.RANDOM)

    def fit(records: sl.Records, seed: int) -> LogisticRegression:
        rng = np.random.default_rng(seed)
        classes = int(records.y.max()) + 1
        labels = np.arange(20 * classes) % classes
        return LogisticRegression(max_iter=300).fit(rng.random((len(labels), 64)), labels)

    recipe = FunctionRecipe(fit, sl.Images((1, 8, 8)))
    threat = replace(SCORES, access=sl.Access.WEIGHTS)
    target = recipe.fit(members, seed)
    return sl.audit(target, splits, threat, recipe=recipe, seed=seed, only=["V001", "V004", "M001"])


def main(audits: int) -> int:
    alarms = broken = 0
    for name, audit in (("table", table_audit), ("images", image_audit)):
        started, leaks, failed, claims = time.process_time(), [], 0, 0
        for seed in range(audits):
            report = audit(seed)
            claims += report.claims
            failed += report.verdict is Verdict.BROKEN
            if any(finding.status == "leak" for finding in report.findings):
                leaks.append(seed)
        spent = time.process_time() - started
        each = f"{claims / audits:.1f} claims and {spent / audits:.1f} CPU s each"
        print(f"{name:8}{len(leaks)} false alarms {leaks}, {failed} called broken, of {audits}; {each}", flush=True)
        alarms, broken = alarms + len(leaks), broken + failed
    rate = alarms / (2 * audits)
    print(f"false alarms {rate:.1%} of {2 * audits} audits (goal: at most 3 %), broken {broken / (2 * audits):.1%}")
    return int(rate > 0.03)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="LOMIA found", category=UserWarning)
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 150))
