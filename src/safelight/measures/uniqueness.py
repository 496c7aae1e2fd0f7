"""How alone records stand in a table: k-anonymity, k-map and l-diversity, counted from the table itself.

Two values are the same if they are equal as they stand: 1 and 1.0 are, "A" and "a" are not, and all missing values are
one value of their own. Sources: Sweeney 2002, "k-anonymity" (IJUFKS 10); Sweeney 2001, PhD thesis, section 4.3 (k-map);
Machanavajjhala et al. 2007, "l-diversity" (TKDD 1), distinct l-diversity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Uniqueness:
    """How alone the records of one table stand by some columns, its quasi-identifiers.

    Attributes:
        records: rows of the table.
        groups: different combinations of values.
        k: rows of the smallest group: the table is k-anonymous.
        alone: rows that are a group of their own, sample uniques.
        k_map: people of the smallest group in the population, for the table's combinations; None without one. 0 says
            that the population lacks somebody who is in the table.
        alone_in_population: rows whose combination one person of the population has; None without one.
        l_diversity: for each sensitive column, its different values in the group that has the fewest.
    """

    records: int
    groups: int
    k: int
    alone: int
    k_map: int | None = None
    alone_in_population: int | None = None
    l_diversity: dict[str, int] = field(default_factory=dict)


def uniqueness(
    table: pd.DataFrame,
    columns: Sequence[str],
    population: pd.DataFrame | None = None,
    sensitive: Sequence[str] = (),
) -> Uniqueness:
    """Count how alone the records of `table` stand.

    Args:
        table: one row a record.
        columns: what an attacker may know of a person.
        population: one row a person, with the same columns.
        sensitive: columns of `table` whose values are secrets.

    Raises:
        InputError: a table has no rows, or lacks a column.
    """
    own = group_sizes(table, columns)
    everyone = None if population is None else population_sizes(table, population, columns)
    return Uniqueness(
        len(table),
        int(np.rint((1 / own).sum())),
        int(own.min()),
        int((own == 1).sum()),
        None if everyone is None else int(everyone.min()),
        None if everyone is None else int((everyone == 1).sum()),
        {name: int(diversity(table, columns, name).min()) for name in sensitive},
    )


def group_sizes(table: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return how many rows share each row's values in `columns` (n,); itself counts, so at least 1."""
    return population_sizes(table, table, columns)


def population_sizes(table: pd.DataFrame, population: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return how many rows of `population` have each row's values in `columns` (n,); 0 where none has."""
    own, everyone = combinations(columns, table, population)
    return np.bincount(everyone, minlength=int(own.max()) + 1)[own]


def diversity(table: pd.DataFrame, columns: Sequence[str], sensitive: str) -> Array:
    """Return how many different values `sensitive` has among the rows that share each row's values (n,)."""
    (group,), (value,) = combinations(columns, table), combinations([sensitive], table)
    pairs = np.unique(np.stack([group, value], axis=1), axis=0)
    return np.bincount(pairs[:, 0])[group]


def combinations(columns: Sequence[str], *tables: pd.DataFrame) -> list[Array]:
    """Return the number of each row's combination of values (rows,) by table, the same number in all of them."""
    columns = list(columns)
    if not columns:
        raise InputError("There is no column to compare records by; name at least one.")
    for table in tables:
        names = [str(name) for name in table.columns]
        for name in columns:
            if name not in table.columns:
                raise InputError(
                    f"A table has no column {name!r}; its columns are {', '.join(names)}.{did_you_mean(name, names)}"
                )
        if not len(table):
            raise InputError("A table holds no rows; give at least one record.")
    joined = pd.concat([table[columns] for table in tables], ignore_index=True)
    number = joined.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()
    return np.split(number, np.cumsum([len(table) for table in tables])[:-1])
