"""Anonymised training data: rows in groups that look alike, and tokens for names."""

from __future__ import annotations

import hashlib
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
class Anonymised(InTraining):
    """Train on a table in which every row looks like at least k - 1 others, or names are tokens.

    What it does: rows are cut into groups of at least k by Mondrian, and within a group every quasi-identifier gets one
    value: the mean of numbers, the commonest word. Columns in `pseudonyms` keep one token for each value. The model is
    trained on that table; it is asked with rows as they are.
    Evidence for: no row can be told from k - 1 others by its quasi-identifiers (Sweeney 2002; LeFevre et al. 2006); a
    model trained on such rows was attacked with less success (Goldsteen et al. 2022, arXiv:2007.13086).
    Evidence against: a group that shares its secret gives it away (Machanavajjhala et al. 2007, l-diversity), and
    k-anonymous tables in real use were undone (Cohen 2022, USENIX Security, downcoding). The answer to predict stays as
    it was. Tokens protect nothing here: they are one to one, a model learns them as well as names, and rows are found
    again by their other columns (Narayanan & Shmatikov 2008, arXiv:cs/0610105).
    Cost: accuracy, the more columns and the larger k; one pass to cut.

    Mondrian: a group is cut at the median of the quasi-identifier that is widest in it, measured against the whole
    table (range of numbers, count of words), while both parts keep k rows; equal values stay together, and words are in
    alphabetical order. It is believed in more often than it is measured; hence it is here.

    Attributes:
        k: least rows that look alike (>= 1); 1 leaves rows as they are.
        quasi: names of quasi-identifiers; empty for all columns but pseudonyms.
        pseudonyms: names of columns whose values become tokens.
    """

    name: ClassVar[str] = "anonymisation"
    title: ClassVar[str] = "Anonymised training data"
    source: ClassVar[str] = "LeFevre et al. 2006, ICDE, Mondrian; Sweeney 2002, k-anonymity"

    k: int = 5
    quasi: tuple[str, ...] = ()
    pseudonyms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self.name, self)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        """Return the model; raises InputError for images, unknown columns, or fewer rows than k."""
        known_columns(self, records, (*self.quasi, *self.pseudonyms))
        if len(records) < self.k:
            raise InputError(f"{len(records)} rows cannot look like {self.k - 1} others each; choose a smaller k.")
        names = self.quasi or tuple(name for name in records.x.columns if name not in self.pseudonyms)
        table = generalised(records.x, [name for name in names if name not in self.pseudonyms], self.k)
        if not self.pseudonyms:
            return recipe.fit(replace(records, x=table), seed)
        change = Tokens(self.pseudonyms, seed)
        target = recipe.fit(replace(records, x=change(table)), seed)
        return replace(target, model=Prepared(target.model, change, Table(tuple(records.x.columns))))


def generalised(table: DataFrame, quasi: list[str], k: int) -> DataFrame:
    """Return the table with one value a group in each quasi-identifier; other columns stay."""
    codes, wide = [], []
    for name in quasi:
        if is_number(table[name]):
            codes.append(table[name].to_numpy(float))
            wide.append(np.ptp(codes[-1]))
        else:
            ranks = np.unique(table[name].astype(str), return_inverse=True)[1]
            codes.append(ranks.astype(float))
            wide.append(float(ranks.max() + 1))
    numeric = np.array([is_number(table[name]) for name in quasi], bool)
    columns = np.stack(codes, axis=1) if codes else np.empty((len(table), 0))
    changed = {name: table[name].copy() for name in quasi}
    for rows in mondrian(columns, numeric, np.array(wide), k):
        for name in quasi:
            own = table[name].iloc[rows]
            changed[name] = _filled(changed[name], rows, own)
    return table.assign(**changed)


def is_number(column: Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _filled(column: Series, rows: Array, own: Series) -> Series:
    if is_number(column):
        if column.dtype.kind in "iu":
            column = column.astype(float)
        column.iloc[rows] = own.mean()
    else:
        counts = own.value_counts()
        column.iloc[rows] = min(counts[counts == counts.max()].index, key=str)
    return column


def mondrian(columns: Array, numeric: Array, wide: Array, k: int) -> list[Array]:
    """Return groups of positions, each of at least k rows.

    Args:
        columns: (n, q) numbers, or ranks of words.
        numeric: (q,) bool, which of them are numbers.
        wide: (q,) range of the numbers, or count of the words, in the whole table.
        k: least size of a group.
    """
    groups, left = [], [np.arange(len(columns))]
    while left:
        rows = left.pop()
        own = columns[rows]
        counts = np.array([len(np.unique(own[:, place])) for place in range(own.shape[1])])
        width = np.where(numeric, np.ptp(own, axis=0) if own.size else 0.0, np.where(counts > 1, counts, 0))
        for place in np.argsort(-width / np.maximum(wide, 1e-300), kind="stable"):
            low = half(own[:, place])
            if k <= low.sum() <= len(rows) - k:
                left += [rows[low], rows[~low]]
                break
        else:
            groups.append(rows)
    return groups


def half(values: Array) -> Array:
    """Return the lower values (n,) bool: those up to the median, or below it, whichever are nearer to half of them."""
    upto = values <= np.quantile(values, 0.5, method="lower")
    below = values < np.quantile(values, 0.5, method="higher")
    return upto if abs(upto.mean() - 0.5) <= abs(below.mean() - 0.5) else below


@dataclass(frozen=True)
class Tokens:
    """Exchanges the values of columns for tokens, one to one.

    Attributes:
        columns: their names.
        secret: without it nobody can tell a token's value.
    """

    columns: tuple[str, ...]
    secret: int

    def __call__(self, table: DataFrame) -> DataFrame:
        return table.assign(**{name: self._tokens(table[name], name) for name in self.columns})

    def _tokens(self, column: Series, name: str) -> Series:
        tokens = {value: self._token(name, value) for value in column.unique()}
        exchanged = column.astype(object).map(tokens)
        return exchanged.astype(float) / 2**52 if is_number(column) else exchanged.map(lambda token: f"p{token:013x}")

    def _token(self, name: str, value: object) -> int:
        digest = hashlib.blake2b(f"{name}\n{value}".encode(), key=str(self.secret).encode(), digest_size=8).digest()
        return int.from_bytes(digest) >> 12
