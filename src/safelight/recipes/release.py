"""How a table is released again from other records: the owner's own function, or one that leaks by a known amount."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from safelight.data.records import Records
from safelight.errors import InputError
from safelight.recipes.base import source_of
from safelight.targets.base import Target
from safelight.targets.released import from_release


@dataclass(frozen=True)
class ReleaseRecipe:
    """Calls `function(records, seed)`, which anonymises or synthesises, and takes the DataFrame that it returns.

    Attributes:
        function: from records (x: their columns) and a seed to the table that would be released.
    """

    function: Callable[[Records, int], pd.DataFrame]

    @property
    def key(self) -> str:
        return "release-" + hashlib.sha256(source_of(self.function).encode()).hexdigest()[:16]

    def fit(self, records: Records, seed: int) -> Target:
        """Release a table; raises InputError where the function returns something else."""
        table = self.function(records, seed)
        if not isinstance(table, pd.DataFrame):
            raise InputError(f"The release function returned {type(table).__name__}; return a pandas DataFrame.")
        return from_release(table, "released again")


@dataclass(frozen=True)
class LeakyRelease:
    """Copies each record with probability `leak`; of all others every column is shuffled by itself.

    A shuffled row counts as that of the record in whose place it stands.

    Attributes:
        leak: share of the records that is copied, in [0, 1].
    """

    leak: float = 1.0

    @property
    def key(self) -> str:
        return f"planted-release-{self.leak:g}"

    def fit(self, records: Records, seed: int) -> Target:
        rng = np.random.default_rng([seed, 78])
        copied = rng.random(len(records)) < self.leak
        rest = column_shuffled(records.x[~copied], rng)
        table = pd.concat([records.x[copied], rest], ignore_index=True)
        names = records.ids if records.person is None else records.person
        owners = np.concatenate([names[copied], names[~copied]])
        order = rng.permutation(len(table))
        target = from_release(table.iloc[order], "planted leak")
        return replace(target, model=replace(target.model, owners=owners[order]))  # type: ignore[type-var]


def column_shuffled(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table with every column in an order of its own: the values stay, the records are gone."""
    orders = {name: rng.permutation(len(table)) for name in table.columns}
    return pd.DataFrame({name: table[name].iloc[order].reset_index(drop=True) for name, order in orders.items()})
