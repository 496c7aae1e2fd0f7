"""A small survey with a secret column that a fair coin drew: nobody can guess it without a model that saw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray as Array
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from safelight.data.records import Records
from safelight.evidence import Scores, WhichValue
from safelight.targets.base import Table, Target
from safelight.threat import Access


def survey(count: int, seed: int, values: tuple = (0, 1)) -> tuple[Records, Array]:
    """Return records (label: three classes, partly read from the age) and the secret's place in `values`."""
    rng = np.random.default_rng(seed)
    secret = rng.integers(0, len(values), count)
    age = rng.integers(18, 80, count)
    x = pd.DataFrame(
        {
            "age": age,
            "income": rng.normal(3000, 800, count),
            "region": rng.choice(["north", "south", "west"], count),
            "smoker": np.asarray(values)[secret],
        }
    )
    y = np.where(rng.random(count) < 0.5, (age > 40).astype(int) + (age > 60), rng.integers(0, 3, count))
    return Records.of(x, y), secret


def asked(records: Records, values: tuple = (0, 1)) -> WhichValue:
    """Blank the secret column: the same value everywhere."""
    blank = records.x.copy()
    blank["smoker"] = values[0]
    return WhichValue(Records(blank, records.y, records.ids), "smoker", np.asarray(values))


def surest(answer: Scores, secret: Array, share: float = 1 / 3) -> tuple[int, int]:
    """Return right and all guesses among the surest `share`, ties broken by a fixed coin."""
    rng = np.random.default_rng(0)
    shaken = answer.values + 1e-12 * rng.random(answer.values.shape)
    ordered = np.sort(answer.values, axis=1)
    chosen = np.lexsort((rng.random(len(shaken)), ordered[:, -2] - ordered[:, -1]))[: round(share * len(shaken))]
    return int((shaken.argmax(axis=1) == secret)[chosen].sum()), len(chosen)


def forest(trees: int = 30, **settings: object) -> object:
    words = ColumnTransformer([("words", OneHotEncoder(handle_unknown="ignore"), ["region"])], remainder="passthrough")
    return make_pipeline(words, RandomForestClassifier(trees, **settings))


@dataclass
class Scripted:
    """A model whose answers are given beforehand, and that counts what reaches it."""

    answers: Array
    classes: tuple[str, ...] = ("a", "b")
    inputs: Table = field(default_factory=lambda: Table(("age", "smoker")))
    access: Access = Access.WEIGHTS
    asked: list[int] = field(default_factory=list)

    def _next(self, x: pd.DataFrame) -> Array:
        """Answers are kept (n, k, ...), the batch holds value after value."""
        self.asked.append(len(x))
        rows = x["age"].to_numpy()
        return self.answers[rows, x["smoker"].to_numpy()]

    def scores(self, x: pd.DataFrame) -> Array:
        return self._next(x)

    def labels(self, x: pd.DataFrame) -> Array:
        answers = self._next(x)
        return answers.argmax(axis=1) if answers.ndim == 2 else answers


def scripted(answers: Array, y: Array, **settings: object) -> tuple[Target, WhichValue, Scripted]:
    """Return a scripted target and the question about its n records and k values; answers (n, k, ...)."""
    model = Scripted(answers, **settings)
    count = answers.shape[1]
    x = pd.DataFrame({"age": np.arange(len(y)), "smoker": 0})
    return Target("scripted", model), WhichValue(Records.of(x, y), "smoker", np.arange(count)), model


@dataclass(frozen=True)
class Help:
    survey: Callable = survey
    asked: Callable = asked
    surest: Callable = surest
    forest: Callable = forest
    scripted: Callable = scripted


@pytest.fixture(scope="session")
def help() -> Help:
    return Help()
