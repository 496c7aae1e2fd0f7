"""Data minimisation: what the model never got, it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from pandas import DataFrame, Series

from safelight.data.records import Records
from safelight.defences.base import InTraining
from safelight.defences.training.prepared import Prepared, known_columns
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Table, Target


@dataclass(frozen=True)
class Minimisation(InTraining):
    """Leave columns out, or make them coarse, before the model is trained.

    What it does: columns in `drop` never reach the model. Columns in `coarsen` reach it in few values: numbers as the
    median of their part of the records, words as themselves if they are common and as "other" if not. The model is
    still asked with whole rows, and they are changed alike.
    Evidence for: a column that the model never read has no influence on it, so that what remains is what the other
    columns tell of it; models often do as well with coarser inputs (Goldsteen et al. 2022, arXiv:2008.04113).
    Evidence against: a dropped secret can often be guessed from the columns that stay, with or without the model
    (Jayaraman & Evans 2022, arXiv:2209.01292, on imputation). Fewer columns do not keep a model from learning records
    by heart: membership goes on.
    Cost: accuracy, by what the columns were worth.

    Attributes:
        drop: names of columns that are left out.
        coarsen: names of columns that are made coarse.
        bins: values that a coarse column has at most (>= 1).
    """

    name: ClassVar[str] = "data-minimisation"
    title: ClassVar[str] = "Data minimisation"
    source: ClassVar[str] = "Goldsteen et al. 2022, AI and Ethics 2, arXiv:2008.04113; GDPR article 5 (1) (c)"

    drop: tuple[str, ...] = ()
    coarsen: tuple[str, ...] = ()
    bins: int = 4

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        if self.drop or self.coarsen:
            return ""
        return 'Data minimisation names no column; set drop or coarsen, such as drop = ["town"].'

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model behind the change; raises InputError for images, unknown columns, or none left."""
        known_columns(self, records, (*self.drop, *self.coarsen))
        if set(map(str, records.x.columns)) == set(self.drop):
            raise InputError(f"Data minimisation drops all {len(self.drop)} columns; leave the model at least one.")
        parts = tuple(Parts.of(records.x[name], name, self.bins) for name in self.coarsen if name not in self.drop)
        change = Minimised(self.drop, parts)
        target = recipe.fit(replace(records, x=change(records.x)), seed)
        return replace(target, model=Prepared(target.model, change, Table(tuple(records.x.columns))))


@dataclass(frozen=True)
class Parts:
    """How one column is made coarse.

    Attributes:
        column: its name.
        edges: inner edges (b - 1,), rising; a number above one is in a later part. Empty for words.
        values: (b,) what each part becomes; for words, those that stay.
    """

    column: str
    edges: Array
    values: Array

    @classmethod
    def of(cls, column: Series, name: str, bins: int) -> Parts:
        """Learn at most `bins` parts of about as many records each."""
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            counts = column.astype(str).value_counts()
            common = sorted(counts.index, key=lambda word: (-counts[word], word))
            kept = common if len(common) <= bins else common[: bins - 1]
            return cls(name, np.empty(0), np.array(kept, dtype=object))
        numbers = column.to_numpy(float)
        edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins, method="lower"))
        edges = edges[edges < numbers.max()]  # nothing lies above it
        part = np.searchsorted(edges, numbers)
        return cls(name, edges, np.array([np.median(numbers[part == own]) for own in range(len(edges) + 1)]))

    def coarse(self, column: Series) -> Series:
        """Return the column in few values."""
        if self.values.dtype != object:
            part = np.searchsorted(self.edges, column.to_numpy(float))
            return pd.Series(self.values[part], index=column.index)
        words = column.astype(str)
        return words.where(words.isin(list(self.values)), "other").astype(object)


@dataclass(frozen=True)
class Minimised:
    """Drops columns and makes others coarse; see `Minimisation`.

    Attributes:
        drop: names of columns.
        parts: one for each coarse column.
    """

    drop: tuple[str, ...]
    parts: tuple[Parts, ...]

    def __call__(self, table: DataFrame) -> DataFrame:
        coarse = {part.column: part.coarse(table[part.column]) for part in self.parts}
        return table.drop(columns=list(self.drop)).assign(**coarse)
