"""Released tables whose risks are known: 285 breast-cancer patients, nine columns, copied, shuffled and synthetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture

from safelight.attacks.linkage.domias import Domias
from safelight.attacks.linkage.inference import NearestValue
from safelight.attacks.linkage.linkability import Linkability
from safelight.attacks.linkage.singling_out import SinglingOut
from safelight.controls.coins.releases import in_two_halves
from safelight.data.predicates import holding, of_form
from safelight.data.records import Records
from safelight.evidence import WhatSinglesOut, WhichValue, WhoWasIn
from safelight.measures.base import Measurement
from safelight.measures.linkage_risk import isolated_share, linkage_risk
from safelight.measures.roc import auc
from safelight.recipes.release import LeakyRelease, column_shuffled
from safelight.targets.base import Side, Target, View
from safelight.threat import Observes, ThreatModel

SECRET, TOLERANCE = "mean symmetry", 0.05
"""A number is guessed right within this share of the guess."""


def patients(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records behind the table, and as many others."""
    table = load_breast_cancer(as_frame=True).data.iloc[:, :9]
    order = np.random.default_rng(seed).permutation(len(table))
    return table.iloc[order[:285]].reset_index(drop=True), table.iloc[order[285:]].reset_index(drop=True)


def halves(columns: list[str]) -> tuple[list[str], list[str]]:
    return columns[:4], columns[4:]


def releases(members: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a copy, a copy of half of the records among shuffled ones, and a shuffled table."""
    half = LeakyRelease(0.5).fit(records(members), 0).view(ThreatModel(observes=Observes.RELEASE)).released()
    return {"copied": members, "half": half, "shuffled": column_shuffled(members, np.random.default_rng(1))}


def records(table: pd.DataFrame) -> Records:
    return Records.of(table, np.zeros(len(table)))


def view(released: pd.DataFrame, public: Records | None = None) -> View:
    return Target.from_release(released).view(ThreatModel(observes=Observes.RELEASE), Side(public))


def risks(released: pd.DataFrame, members: pd.DataFrame, others: pd.DataFrame) -> dict[str, Measurement]:
    """Return the risk of each kind, with the control taken away."""
    rng, door, columns = np.random.default_rng(0), view(released), list(members.columns)
    guesses = SinglingOut().run(door, WhatSinglesOut(tuple(columns)), rng).texts
    found = {}
    for several in (False, True):
        texts = of_form(guesses, several)
        main = float((holding(texts, members).sum(axis=1) == 1).sum())
        luck = isolated_share(holding(texts, others).sum(axis=1), len(others), len(members)) * len(texts)
        found["several values" if several else "one value"] = linkage_risk((main, len(texts)), (luck, len(texts)))
    left = ",".join(halves(columns)[0])
    linked = [
        int((Linkability().run(door, in_two_halves(records(table), left, rng), rng).values >= 0).sum())
        for table in (members, others)
    ]
    found["link"] = linkage_risk((linked[0], len(members)), (linked[1], len(others)))
    values, right = np.unique(released[SECRET]), []
    for table in (members, others):
        belief = NearestValue().run(door, WhichValue(records(table), SECRET, values), rng).values
        guess = values[belief.argmax(axis=1)]
        right.append(int((np.abs(guess - table[SECRET]) <= TOLERANCE * guess).sum()))
    found["inference"] = linkage_risk((right[0], len(members)), (right[1], len(others)))
    return found


def membership(synthesise: Callable[[pd.DataFrame, int], pd.DataFrame], seeds: int = 10) -> tuple[float, float]:
    """Return the mean AUC of L005, and of the same ratio with kernel densities of one width (Scott's), as published."""
    ours, plain = [], []
    for seed in range(seeds):
        table = pd.concat(patients(seed), ignore_index=True)
        members, others, public = table[:190], table[190:380], table[380:]
        released, asked = synthesise(members, seed), pd.concat([members, others], ignore_index=True)
        scores = Domias().run(view(released, records(public)), WhoWasIn(records(asked)), np.random.default_rng(seed))
        ours.append(auc(scores.values[:190, 0], scores.values[190:, 0]))
        densities = [gaussian_kde(each.to_numpy().T).logpdf(asked.to_numpy().T) for each in (released, public)]
        plain.append(auc((densities[0] - densities[1])[:190], (densities[0] - densities[1])[190:]))
    return float(np.mean(ours)), float(np.mean(plain))


def mixture(members: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw from a mixture of thirty Gaussians, which overfits 190 records."""
    scale = members.std()
    fitted = GaussianMixture(30, covariance_type="diag", reg_covar=1e-3, random_state=seed).fit(members / scale)
    return pd.DataFrame(fitted.sample(len(members))[0] * scale.to_numpy(), columns=members.columns)


def blends(members: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw between each record and one of its five nearest (Chawla et al. 2002, arXiv:1106.1813)."""
    rng, plain = np.random.default_rng(seed), (members / members.std()).to_numpy()
    gaps = ((plain[:, None] - plain[None]) ** 2).sum(axis=2)
    near = gaps.argsort(axis=1)[np.arange(len(members)), rng.integers(1, 6, len(members))]
    part = rng.random((len(members), 1))
    return pd.DataFrame((1 - part) * members.to_numpy() + part * members.to_numpy()[near], columns=members.columns)
