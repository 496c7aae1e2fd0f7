"""Local noise: answers and words are reported at random before anybody sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.defences.guarantee import Guarantee, noise_seed
from safelight.defences.training.prepared import known_columns
from safelight.defences.training.teaching import learn
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target


@dataclass(frozen=True)
class LocalNoise(InTraining):
    """Report labels and words by chance, so that nobody's own value is sure, not even to the trainer.

    What it does: randomised response. Each chosen value stays with a chance that epsilon sets, and otherwise becomes
    any of the others alike. The recipe trains on what was reported.
    Evidence for: a proof that holds against everybody, the trainer included (Warner 1965; Dwork & Roth 2014, section
    3.2); for labels alone it trains usable networks (Ghazi et al. 2021, arXiv:2102.06062).
    Evidence against: what is not reported by chance has no protection at all: the picture, the other columns, and
    whether somebody took part. The noise is large; with a large epsilon little is left of the promise.
    Cost: accuracy, more than any other noise at the same epsilon; none in time.

    With k possible values a value stays with chance e^eps / (e^eps + k - 1); eps is epsilon shared equally by the label
    (if reported) and the columns, so that all of a record's reports together have epsilon. The promise is about their
    values (adjacency "replace"); the lists of possible values count as known. Chances are drawn with 53 bits. Noise on
    numbers is not offered: floats have no proof (Mironov 2012, CCS); make a column of numbers coarse words first.

    Attributes:
        epsilon: of all reported values of one record together, in nats (> 0).
        labels: whether the class is reported by chance.
        columns: names of columns of words that are.
        repeatable: noise follows the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "local-noise"
    title: ClassVar[str] = "Local noise"
    source: ClassVar[str] = "Warner 1965, JASA 60; Ghazi et al. 2021, NeurIPS, arXiv:2102.06062"

    epsilon: float = 2.0
    labels: bool = True
    columns: tuple[str, ...] = ()
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    @property
    def reports(self) -> int:
        """How many values of a record are reported by chance."""
        return int(self.labels) + len(set(self.columns))

    def misfit(self, recipe: Recipe) -> str:
        return "" if self.reports else "Local noise reports no value by chance; set labels = true, or name columns."

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what is promised about the reported values, whatever is trained on them."""
        what = ", ".join((["its class"] if self.labels else []) + list(dict.fromkeys(self.columns)))
        how = f"Randomised response on {what} before training; the rest of a record is not covered."
        return Guarantee(self.epsilon, 0.0, unit="record's reported values", adjacency="replace", how=how)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model; raises InputError for real-valued answers, unknown columns, or columns of numbers."""
        rng = np.random.default_rng([noise_seed(seed, self.repeatable), 53])
        each = self.epsilon / self.reports
        names = tuple(dict.fromkeys(self.columns))
        if names:
            known_columns(self, records, names)
            said = {name: self._words(records, name, each, rng) for name in names}
            records = replace(records, x=records.x.assign(**said))
        if self.labels:
            if records.y.dtype.kind not in "iu":
                raise InputError("Local noise reports classes, and these answers are real numbers; set labels = false.")
            classes = int(records.y.max()) + 1
            said_classes = reported(records.y, classes, each, rng).astype(records.y.dtype)
            if int(said_classes.max()) + 1 < classes:  # by chance nobody reported the last class; the model keeps it
                return learn(recipe, records, np.eye(classes)[said_classes], seed)
            records = records.relabelled(said_classes)
        return recipe.fit(records, seed)

    def _words(self, records: Records, name: str, epsilon: float, rng: Generator) -> pd.Series:
        column = records.x[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            raise InputError(f"Local noise works on words, and {name!r} is a column of numbers; make it words first.")
        values = pd.Categorical(column)
        if (values.codes < 0).any():
            raise InputError(f"The column {name!r} has empty values; give them a word of their own first.")
        said = reported(values.codes, len(values.categories), epsilon, rng)
        return pd.Series(pd.Categorical.from_codes(said, dtype=values.dtype), index=column.index).astype(column.dtype)


def reported(values: Array, possible: int, epsilon: float, rng: Generator) -> Array:
    """Return each of `values` (n,), numbers below `possible`, as randomised response reports it."""
    other = (values + rng.integers(1, max(possible, 2), len(values))) % possible
    return np.where(rng.random(len(values)) < stays(epsilon, possible), values, other)


def stays(epsilon: float, possible: int) -> float:
    """Return the chance that a value is reported as it is."""
    return 1 / (1 + (possible - 1) * math.exp(-epsilon))
