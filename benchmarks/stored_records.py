"""Records inside model files: does D001 find exactly those that are kept? Breast cancer, random halves.

For support vector machines the estimator says which training records it keeps; nearest neighbours keep all.
Run: python benchmarks/stored_records.py
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from safelight.attacks.disclosure.stored import StoredRecords
from safelight.attacks.disclosure.structure import check_structure
from safelight.data.records import Records
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel

KEEP: dict[str, Any] = {
    "1-NN": KNeighborsClassifier(1),
    "5-NN": KNeighborsClassifier(5),
    "bagged 3-NN": BaggingClassifier(KNeighborsClassifier(3), max_features=0.5, bootstrap=False),
    "SVC gamma=scale": SVC(),
    "SVC gamma=0.01": SVC(gamma=0.01),
    "SVC gamma=1": SVC(gamma=1.0),
}
OTHERS: dict[str, Any] = {"forest": RandomForestClassifier(), "logistic": LogisticRegression()}


def halves(seed: int) -> tuple[Records, np.ndarray]:
    """Return all patients, and which of them are members."""
    bunch = load_breast_cancer(as_frame=True)
    member = np.random.default_rng(seed).permutation(len(bunch.target)) < len(bunch.target) // 2
    return Records.of(bunch.data, bunch.target), member


def trial(model: Any, seed: int) -> tuple[int, int, int, int]:
    """Return how many members are kept, found of those, found of the other members, and found of the nonmembers."""
    everyone, member = halves(seed)
    target = SklearnRecipe(make_pipeline(StandardScaler(), model)).fit(everyone.take(member), seed)
    view = target.view(ThreatModel(Access.WEIGHTS))
    found = StoredRecords().run(view, WhoWasIn(everyone), np.random.default_rng(seed)).values[:, 0] == 1
    last = target.model.estimator().steps[-1][1]  # type: ignore[attr-defined]
    kept = np.zeros(len(everyone), dtype=bool)
    kept[np.flatnonzero(member)[getattr(last, "support_", slice(None))]] = True
    return int(kept.sum()), int((found & kept).sum()), int((found & member & ~kept).sum()), int((found & ~member).sum())


def refused(model: Any) -> str:
    """Return why D001 leaves a model out that keeps no records."""
    everyone, member = halves(0)
    target = SklearnRecipe(make_pipeline(StandardScaler(), model)).fit(everyone.take(member), 0)
    return StoredRecords().misfit(target.model, Side())


def main() -> None:
    for name, model in KEEP.items():
        kept, found, more, outside = np.sum([trial(model, seed) for seed in range(5)], axis=0)
        print(f"{name:16} keeps {kept} of {5 * 284}, found {found} of them, {more} other members, {outside} nonmembers")
    everyone, member = halves(0)
    for name, model in (KEEP | OTHERS).items():
        target = SklearnRecipe(make_pipeline(StandardScaler(), model)).fit(everyone.take(member), 0)
        started = time.process_time()
        seen = check_structure(target.model, everyone.take(member))
        print(f"\n{name} ({refused(model) or 'D001 runs'}), {time.process_time() - started:.3f} s")
        for item in seen:
            print(f"  {'risk' if item.risk else 'unknown' if item.risk is None else 'no risk':8}{item.sentence}")


if __name__ == "__main__":
    main()
