"""How well models are copied by asking them, beside copies that were made without asking: linear models, trees, others.

Run: python benchmarks/stealing.py
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.attacks.stealing.equations import CHECKS, EquationSolving
from safelight.attacks.stealing.knockoff import Knockoff
from safelight.attacks.stealing.paths import TreePaths
from safelight.attacks.stealing.retraining import LabelOnlyStealing
from safelight.attacks.stealing.unasked import unasked
from safelight.data.bundled import adult, affairs
from safelight.data.records import Records
from safelight.evidence import WhatWouldItAnswer
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side, Target
from safelight.threat import Access, ThreatModel

SEEDS = range(10, 15)
"""Settings were chosen on seeds 0 and 1, without the Adult data."""

MARKS = (100, 300, 1000)


@cache
def data(name: str) -> Records:
    if name == "digits":
        bunch = load_digits()
        return Records.of(bunch.images[:, None] / 16, bunch.target)
    if name == "breast cancer":
        bunch = load_breast_cancer(as_frame=True)
        return Records.of(bunch.data, bunch.target.to_numpy())
    if name == "affairs":
        survey = affairs()
        return Records.of(survey.drop(columns="affairs"), (survey["affairs"] > 0).to_numpy(int))
    people = adult()
    return Records.of(people.drop(columns=["income", "fnlwgt"]), (people["income"] == ">50K").to_numpy(int))


def parts(name: str, sizes: tuple[int, int, int], seed: int) -> list[Records]:
    """Return records to train on, public ones, and others."""
    everyone = data(name)
    order = np.random.default_rng(seed).permutation(len(everyone))
    return [everyone.take(rows) for rows in np.split(order[: sum(sizes)], np.cumsum(sizes)[:2])]


def trained(estimator: Any, records: Records, seed: int) -> Target:
    if not records.is_table:
        return SklearnRecipe(estimator, Images((1, 8, 8))).fit(records, seed)
    words = make_column_selector(dtype_exclude="number")
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), words), remainder=StandardScaler())
    return SklearnRecipe(make_pipeline(encode, estimator)).fit(records, seed)


def linear(name: str, sizes: tuple[int, int, int], estimator: Any) -> Iterator[tuple[int, int, float, float]]:
    """Yield unknowns with the checks, queries sent, fidelity and the largest error of a score, one row a seed."""
    for seed in SEEDS:
        members, public, others = parts(name, sizes, seed)
        target = trained(estimator, members, seed)
        view = target.view(ThreatModel(Access.SCORES), Side(public))
        copy = EquationSolving().run(view, WhatWouldItAnswer(others), np.random.default_rng(seed)).values
        truth = target.model.scores(others.x)
        unknowns = (others.x.shape[1] if others.is_table else others.x[0].size) + 1
        same = float((copy.argmax(axis=1) == truth.argmax(axis=1)).mean())
        yield unknowns + CHECKS, view.spent, same, float(np.abs(copy - truth).max())


LINEAR = {
    "breast cancer": ((200, 150, 219), LogisticRegression()),
    "digits": ((600, 600, 597), LogisticRegression(max_iter=1000)),
}

TREES = {
    "breast cancer": ((250, 150, 169), DecisionTreeClassifier(min_samples_leaf=5)),
    "affairs": ((2000, 2000, 2000), DecisionTreeClassifier(min_samples_leaf=40)),
}


def tree(name: str, queries: int = 10_000) -> Array:
    """Return leaves, queries, fidelity, the share of records with the very scores of the leaf: one row a seed."""
    sizes, estimator = TREES[name]
    rows = []
    for seed in SEEDS:
        members, public, others = parts(name, sizes, seed)
        target = SklearnRecipe(estimator).fit(members, seed)
        view = target.view(ThreatModel(Access.SCORES), Side(public))
        attack, rng = TreePaths(queries=queries), np.random.default_rng(seed)
        copy, truth = attack.run(view, WhatWouldItAnswer(others), rng).values, target.model.scores(others.x)
        same, exact = copy.argmax(axis=1) == truth.argmax(axis=1), np.abs(copy - truth).max(axis=1) < 1e-6
        rows.append((target.model.fitted.get_n_leaves(), view.spent, same.mean(), exact.mean()))
    return np.array(rows)


OTHERS = {
    "digits MLP": ("digits", (600, 600, 597), MLPClassifier((64,), max_iter=400)),
    "digits forest": ("digits", (600, 600, 597), RandomForestClassifier(100)),
    "Adult MLP": ("adult", (2000, 1000, 2000), MLPClassifier((64,), max_iter=200)),
    "Adult forest": ("adult", (2000, 1000, 2000), RandomForestClassifier(100, min_samples_leaf=2)),
}


def copied(attack: Knockoff | LabelOnlyStealing, name: str) -> Array:
    """Return fidelity without asking and at each mark, one row a seed."""
    kind, sizes, estimator = OTHERS[name]
    rows = []
    for seed in SEEDS:
        members, public, others = parts(kind, sizes, seed)
        target = trained(estimator, members, seed)
        view, rng = target.view(ThreatModel(attack.needs), Side(public)), np.random.default_rng(seed)
        attack.run(view, WhatWouldItAnswer(others), rng)
        alone = unasked(public, target.model.inputs, others, len(target.model.classes), rng)
        labels = target.model.labels(others.x)
        rows.append([(each.values.argmax(axis=1) == labels).mean()  # type: ignore[union-attr]
                     for each in (alone, *(view.kept[mark] for mark in MARKS))])  # fmt: skip
    return np.array(rows)


def main() -> None:
    for name, (sizes, estimator) in LINEAR.items():
        for least, sent, same, off in linear(name, sizes, estimator):
            print(f"{name}: {sent} queries ({least} needed), fidelity {same:.3f}, scores off by {off:.0e}")
    for name in TREES:
        print(pd.DataFrame(tree(name), columns=["leaves", "queries", f"{name}: fidelity", "exact"]))
    for attack in (Knockoff(), LabelOnlyStealing()):
        for name in OTHERS:
            rows = copied(attack, name)
            print(attack.code, name, rows.mean(axis=0).round(3), rows.std(axis=0, ddof=1).round(3))


if __name__ == "__main__":
    main()
