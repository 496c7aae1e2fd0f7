"""What goes in: records, and the three groups that an audit tells apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError


class Split(Enum):
    """How members and nonmembers were told apart: drawn at random from one pool, or in a way nobody vouches for."""

    RANDOM = "random"
    UNKNOWN = "unknown"


@dataclass(frozen=True, repr=False)
class Records:
    """A group of labelled records.

    Attributes:
        x: images as float32 of shape (n, channels, height, width), or one DataFrame with n rows.
        y: class numbers (n,) int64, or real-valued answers (n,) float64 for regression.
        ids: stable names of the records (n,).
        person: who each record is about (n,), or None.
        group: which part of the population each record is from (n,), or None; it is never given to a model.
    """

    x: Any
    y: Array
    ids: Array
    person: Array | None = None
    group: Array | None = None

    @classmethod
    def of(cls, x: Any, y: Any, ids: Any = None, person: Any = None, group: Any = None) -> Records:
        """Build records from anything array-like; numbers the records from 0 when `ids` is left out.

        Raises:
            InputError: lengths differ, or a value is NaN or infinite.
        """
        x = x.reset_index(drop=True) if isinstance(x, pd.DataFrame) else np.asarray(x, dtype=np.float32)
        y = np.asarray(y)
        ids = np.arange(len(y)) if ids is None else np.asarray(ids)
        about = (None if values is None else np.asarray(values) for values in (person, group))
        records = cls(x, y, ids, *about)
        records._check()
        return records

    def _check(self) -> None:
        lengths = {"x": len(self.x), "y": len(self.y), "ids": len(self.ids)}
        for name, values in (("person", self.person), ("group", self.group)):
            if values is not None:
                lengths[name] = len(values)
        if len(set(lengths.values())) > 1:
            seen = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise InputError(f"A group of records needs one value a record everywhere, but {seen}; make them equal.")
        if np.ndim(self.y) != 1:
            raise InputError(
                f"The labels y must be one row of values, and they have shape {np.shape(self.y)}; flatten them."
            )
        numbers = self.x.select_dtypes("number").to_numpy(float) if self.is_table else self.x
        for name, values in (("x", numbers), ("y", self.y)):
            if np.issubdtype(np.asarray(values).dtype, np.number) and not np.isfinite(values).all():
                bad = int((~np.isfinite(values)).sum())
                raise InputError(f"{name} holds {bad} NaN or infinite value(s); drop or fill them before the audit.")

    def __repr__(self) -> str:
        kind = f"{self.x.shape[1]} columns" if self.is_table else f"images {self.x.shape[1:]}"
        return f"Records({len(self)} records, {kind})"

    @property
    def is_table(self) -> bool:
        return isinstance(self.x, pd.DataFrame)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def digest(self) -> str:
        """The sha256 of inputs and labels, as hexadecimal digits."""
        content = self.x.to_csv().encode() if self.is_table else np.ascontiguousarray(self.x).tobytes()
        return hashlib.sha256(content + np.ascontiguousarray(self.y).tobytes()).hexdigest()

    def take(self, rows: Array) -> Records:
        """Return the records at `rows`: positions (m,) or a mask (n,) of bool."""
        rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows, dtype=int)
        x = self.x.iloc[rows].reset_index(drop=True) if self.is_table else self.x[rows]
        about = (None if values is None else values[rows] for values in (self.person, self.group))
        return Records(x, self.y[rows], self.ids[rows], *about)

    def relabelled(self, y: Array) -> Records:
        """Return the same records with other labels (n,)."""
        return Records(self.x, np.asarray(y), self.ids, self.person, self.group)


def concat(groups: Sequence[Records]) -> Records:
    """Join groups of the same kind, in order."""
    first = groups[0]
    x = (
        pd.concat([group.x for group in groups], ignore_index=True)
        if first.is_table
        else np.concatenate([group.x for group in groups])
    )
    y, ids = (np.concatenate([getattr(part, name) for part in groups]) for name in ("y", "ids"))
    about = [[getattr(part, name) for part in groups] for name in ("person", "group")]
    joined = (None if any(part is None for part in parts) else np.concatenate(parts) for parts in about)
    return Records(x, y, ids, *joined)


@dataclass(frozen=True)
class Splits:
    """The three groups of an audit, and what their owner says about them.

    Attributes:
        members: records that the target was trained on.
        nonmembers: records of the same kind that it never saw.
        public: records of other people, which the attacker may hold.
        drawn: whether members and nonmembers were drawn at random from one pool.
        sensitive: columns of a table whose values are secrets.
        class_is_person: whether each class is one person; otherwise an inverted class is a class, never a person.
    """

    members: Records
    nonmembers: Records | None = None
    public: Records | None = None
    drawn: Split = Split.UNKNOWN
    sensitive: tuple[str, ...] = ()
    class_is_person: bool = False

    @property
    def everyone(self) -> Records:
        """Members, then nonmembers where there are some: one pool, wherever coins decide who is trained."""
        return self.members if self.nonmembers is None else concat([self.members, self.nonmembers])

    def __post_init__(self) -> None:
        if len(self.members) == 0:
            raise InputError("The group of members is empty; an audit needs the records that the model was trained on.")
        if self.members.is_table:
            for column in self.sensitive:
                if column not in self.members.x.columns:
                    raise InputError(
                        f"The sensitive column {column!r} is not in the table; its columns are "
                        f"{', '.join(map(str, self.members.x.columns))}."
                    )
