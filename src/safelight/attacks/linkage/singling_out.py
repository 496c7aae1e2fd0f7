"""Singling out: conditions that hold for exactly one record, found in the release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.random import Generator

from safelight.attacks.linkage.base import ReleaseAttack, released
from safelight.data.predicates import Condition, holding, plain_columns, written
from safelight.evidence import Predicates, WhatSinglesOut
from safelight.targets.base import View
from safelight.threat import Knows


@dataclass(frozen=True)
class SinglingOut(ReleaseAttack):
    """Guess conditions that hold for exactly one of the records behind the release.

    What it shows: whether the release lets somebody point at one person: "there is exactly one with these values".
    Who could do it: anyone who has the released table; nothing about any person need be known.
    How to lower it: release coarser values, leave rare and extreme values out, or release a synthetic table of a model
        that does not copy records (trained with differential privacy).

    Two forms of guess are made, and those kept that hold for exactly one released record. One condition: a column is at
    or beyond its released extreme, or has a value that was released once. Several conditions: some columns of a
    released record, drawn at random, are at or beyond its numbers (above the column's median, or not) or have its
    words. The blind guesses have the same forms, but draw each value from its column by itself, and none is checked.

    Attributes:
        guesses: guesses of each form at most (>= 1), and blind ones.
        columns: conditions in one guess of the second form (>= 2).
    """

    code: ClassVar[str] = "L001"
    title: ClassVar[str] = "Singling out"
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhatSinglesOut
    source: ClassVar[str] = (
        "Giomi et al. 2022, arXiv:2211.10459 (singling out); Cohen and Nissim 2020, arXiv:1904.06009"
    )

    guesses: int = 500
    columns: int = 3

    def run(self, view: View, question: WhatSinglesOut, rng: Generator) -> Predicates:
        """Return predicates; raises AccessDenied without a release, InputError where it lacks a column."""
        release = released(view, question.columns)
        single = isolating(rng.permutation(one_condition(release)), release, self.guesses)
        several: list[str] = []
        blind = blind_conditions(release, 1, self.guesses, rng)
        if len(release.columns) > 1:
            count = min(self.columns, len(release.columns))
            # Not every record can be told by a few of its columns: ten times as many are tried.
            tried = several_conditions(release, count, 10 * self.guesses, rng)
            several = isolating(tried, release, self.guesses)
            blind += blind_conditions(release, count, self.guesses, rng)
        return Predicates(np.array(single + several, dtype=str), np.array(blind, dtype=str))


def one_condition(release: pd.DataFrame) -> list[str]:
    """Return each extreme of a column of numbers, and each value that a column holds once."""
    found: list[list[Condition]] = []
    for name, values in plain_columns(release).items():
        if values.dtype.kind == "f":
            found += [[(name, "<=", values.min())], [(name, ">=", values.max())]]
        seen, counts = np.unique(values, return_counts=True)
        found += [[(name, "==", value)] for value in seen[counts == 1]]
    return [written(conditions) for conditions in found]


def several_conditions(release: pd.DataFrame, count: int, guesses: int, rng: Generator) -> list[str]:
    """Return `guesses` texts, each of `count` conditions that a random released record meets."""
    columns = plain_columns(release)
    middle = {name: np.median(values) for name, values in columns.items() if values.dtype.kind == "f"}

    def of(name: str, row: int) -> Condition:
        value = columns[name][row]
        return name, "==" if name not in middle else ">=" if value > middle[name] else "<=", value

    names = list(columns)
    chosen = [rng.choice(len(names), count, replace=False) for _ in range(guesses)]
    rows = rng.integers(len(release), size=guesses)
    return [written([of(names[place], row) for place in places]) for places, row in zip(chosen, rows)]


def blind_conditions(release: pd.DataFrame, count: int, guesses: int, rng: Generator) -> list[str]:
    """Return `guesses` texts of `count` conditions on random columns, each value drawn from its column by itself."""
    columns = plain_columns(release)
    names = list(columns)
    found = []
    for _ in range(guesses):
        conditions = []
        for place in rng.choice(len(names), count, replace=False):
            values = columns[names[place]]
            how = rng.choice(["==", ">=", "<="]) if values.dtype.kind == "f" else "=="
            conditions.append((names[place], str(how), rng.choice(values)))
        found.append(written(conditions))
    return found


def isolating(texts: Iterable[str], release: pd.DataFrame, most: int) -> list[str]:
    """Return up to `most` different texts that hold for exactly one released record, in the order given."""
    texts = list(dict.fromkeys(map(str, texts)))
    found: list[str] = []
    for start in range(0, len(texts), 500):
        part = texts[start : start + 500]
        found += [text for text, alone in zip(part, holding(part, release).sum(axis=1) == 1) if alone]
        if len(found) >= most:
            break
    return found[:most]
