"""Who is who in a released part of the Adult data: record linkage beside equal values and the nearest row by Gower.

1,000 people are released without a name: age in steps of five years, sex, race, schooling, marital status, country, and
the census weight in steps of 20,000, which stands in for a postcode since it is given by area. The attacker has a list
of these people and of 1,000 others, and every entry of it is wrong with the chance `noise`: a letter mistyped or the
next step of a number, or, as often, another person's value.

Run: python benchmarks/linkage_adult.py
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.random import Generator

from safelight.attacks.linkage.gower import distances
from safelight.attacks.linkage.records import RecordLinkage
from safelight.data.bundled import adult
from safelight.data.records import Records
from safelight.evidence import Links, WhoIsWho
from safelight.measures.named import equality_credit, precision_at
from safelight.measures.uniqueness import Uniqueness, combinations, uniqueness
from safelight.recipes.release import column_shuffled
from safelight.targets.base import Target
from safelight.threat import Observes, ThreatModel

PEOPLE = 1000
STEPS = {"age": 5, "area": 1}
COLUMNS = ["age", "sex", "race", "education", "marital-status", "native-country", "area"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def population() -> pd.DataFrame:
    """Return the whole data in the form of the release, with two columns that only the release has."""
    people = adult().drop_duplicates(ignore_index=True)
    coarse = people.assign(age=people["age"] // 5 * 5, area=people["fnlwgt"] // 20_000)
    return coarse[[*COLUMNS, "occupation", "income"]]


@dataclass(frozen=True)
class Case:
    """One draw: the release, the attacker's list of people, and whose row each released one is (its place in the list).

    People from `PEOPLE` on are not in the release.
    """

    release: pd.DataFrame
    people: pd.DataFrame
    owner: np.ndarray

    @property
    def member(self) -> np.ndarray:
        return np.arange(len(self.people)) < len(self.release)


def draw(noise: float, seed: int) -> Case:
    rng = np.random.default_rng([seed, 31])
    chosen = population().iloc[rng.permutation(len(population()))[: 2 * PEOPLE]].reset_index(drop=True)
    owner = rng.permutation(PEOPLE)
    release = chosen.iloc[owner].reset_index(drop=True)
    people = pd.DataFrame({name: misspelt(chosen[name], name, noise, rng) for name in COLUMNS})
    return Case(release, people, owner)


def misspelt(column: pd.Series, name: str, noise: float, rng: Generator) -> pd.Series:
    """Return the column with a share `noise` of wrong entries."""
    values = column.to_numpy(dtype=object).copy()
    for row in np.flatnonzero(rng.random(len(values)) < noise):
        if rng.random() < 0.5:
            values[row] = population()[name].iloc[rng.integers(len(population()))]
        elif name in STEPS:
            values[row] += int(rng.choice([-1, 1])) * STEPS[name]
        else:
            place = rng.integers(len(values[row]))
            values[row] = values[row][:place] + rng.choice(list(LETTERS)) + values[row][place + 1 :]
    return pd.Series(values.tolist())


def link(case: Case, seed: int, shuffled: bool = False) -> Links:
    """Run L004; `shuffled` first gives every column of the release an order of its own."""
    rng = np.random.default_rng([seed, 32])
    release = column_shuffled(case.release, rng) if shuffled else case.release
    view = Target.from_release(release).view(ThreatModel(observes=Observes.RELEASE))
    return RecordLinkage().run(view, WhoIsWho(Records.of(case.people, np.zeros(len(case.people)))), rng)


def right(case: Case, links: Links) -> np.ndarray:
    return case.member & (case.owner[links.row] == np.arange(len(case.people)))


def by_equality(case: Case) -> float:
    """Return the share of right links that picking at random among the rows with exactly equal values finds."""
    mine, rows = combinations(COLUMNS, case.people, case.release)
    return float(equality_credit(mine, np.arange(len(mine)), rows, case.owner)[case.member].mean())


def by_gower(case: Case) -> float:
    """Return the share of right links that picking at random among the nearest rows finds."""
    distance = np.concatenate(list(distances(case.people[case.member], case.release[COLUMNS])))
    nearest = distance <= distance.min(axis=1, keepdims=True)
    own = nearest[case.owner, np.arange(len(case.owner))]
    return float((own / nearest.sum(axis=1)[case.owner]).mean())


def trial(noise: float, seed: int) -> dict[str, float]:
    case = draw(noise, seed)
    links = link(case, seed)
    found = right(case, links)
    threshold = np.sort(links.score[~case.member])[::-1][PEOPLE // 100]
    row = {
        "L004": found[case.member].mean(),
        "equal values": by_equality(case),
        "Gower": by_gower(case),
        "at 1 % false links": (found & (links.score > threshold))[case.member].mean(),
    }
    if not noise:
        row["columns shuffled"] = right(case, link(case, seed, shuffled=True))[case.member].mean()
    for share in (0.1, 0.25, 0.5):
        good, claimed = precision_at(links.score, found, share)
        row[f"right in the surest {share:.0%}"] = good / claimed
    return {name: float(value) for name, value in row.items()}


@cache
def results(seeds: int = 5) -> dict[float, pd.DataFrame]:
    return {noise: pd.DataFrame([trial(noise, seed) for seed in range(1, 1 + seeds)]) for noise in (0.0, 0.05, 0.2)}


def alone(seed: int = 1) -> Uniqueness:
    return uniqueness(draw(0.0, seed).release, COLUMNS, population(), ["occupation", "income"])


if __name__ == "__main__":
    print(alone())
    for noise, rows in results().items():
        print(f"\nnoise {noise:.0%}")
        for name in rows:
            print(f"  {name:24} {rows[name].mean():.3f} [{rows[name].min():.3f}, {rows[name].max():.3f}]")
        gain = rows["L004"] - rows["Gower"]
        print(f"  {'L004 over Gower':24} {gain.mean():+.3f} [{gain.min():+.3f}, {gain.max():+.3f}]")
