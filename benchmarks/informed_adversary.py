"""The informed adversary on breast cancer: every patient in turn is the one record that the attacker does not know.

The model is trained once on all 569 standardised records; the error of a rebuilt record is that of its worst column,
in standard deviations.

Run: python benchmarks/informed_adversary.py
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy import ndarray as Array
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from safelight.attacks.attributes.informed import InformedAdversary
from safelight.data.records import Records
from safelight.evidence import WhichIsMissing
from safelight.recipes.sklearn import SklearnRecipe
from safelight.threat import Access, ThreatModel

MODELS = {
    "newton-cholesky, tol 1e-8": LogisticRegression(solver="newton-cholesky", tol=1e-8),
    "newton-cg, tol 1e-8": LogisticRegression(solver="newton-cg", tol=1e-8, max_iter=1000),
    "lbfgs, tol 1e-8": LogisticRegression(tol=1e-8, max_iter=10_000),
    "lbfgs, tol 1e-4 (default)": LogisticRegression(),
    "scaler in the pipeline, tol 1e-4": make_pipeline(StandardScaler(), LogisticRegression()),
}


def patients(standardised: bool = True) -> Records:
    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.copy()
    if standardised:
        table[:] = StandardScaler().fit_transform(table)
    return Records.of(table, bunch.target.to_numpy())


def errors(model: str) -> tuple[Array, float]:
    """Return the error of each rebuilt record (569,), and the share of right diagnoses."""
    everyone = patients(standardised="scaler" not in model)
    view = SklearnRecipe(MODELS[model]).fit(everyone, 0).view(ThreatModel(Access.WEIGHTS))
    attack, rng = InformedAdversary(), np.random.default_rng(0)
    rows = np.arange(len(everyone))
    answers = [attack.run(view, WhichIsMissing(everyone.take(rows != row)), rng) for row in rows]
    x = everyone.x.to_numpy()
    off = np.abs(np.concatenate([answer.x for answer in answers]) - x) / x.std(axis=0)
    return off.max(axis=1), float(np.mean([answer.y[0] == y for answer, y in zip(answers, everyone.y)]))


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="lbfgs failed")
    for name in MODELS:
        off, right = errors(name)
        print(f"{name:34s}median {np.median(off):.1e}  within 1e-3 {np.mean(off < 1e-3):.2f}  diagnosis {right:.2f}")
