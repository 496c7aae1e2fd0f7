"""Conditions on a record as text: `[["age", ">=", 71], ["town", "==", "Salem"]]`, all of which must hold.

JSON keeps any column name and value apart, spaces and quotes included, and running one is no running of code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.errors import InputError

Condition = tuple[str, str, Any]
"""A column, one of == >= <=, and a value: a number, or the word for any other kind of column."""

_HOLDS = {"==": np.equal, ">=": np.greater_equal, "<=": np.less_equal}


def is_numeric(values: pd.Series) -> bool:
    """Return whether a column holds numbers; True and False are words."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def plain_columns(table: pd.DataFrame) -> dict[str, Array]:
    """Return each column as numbers or as words (n,)."""
    return {
        name: table[name].to_numpy(float) if is_numeric(table[name]) else table[name].astype(str).to_numpy(str)
        for name in table.columns
    }


def written(conditions: Sequence[Condition]) -> str:
    """Return conditions as text, in the order of their columns: the same conditions give the same text."""
    rows = [[name, how, value.item() if isinstance(value, np.generic) else value] for name, how, value in conditions]
    return json.dumps(sorted(rows, key=lambda row: (str(row[0]), row[1])))


def holding(texts: Sequence[str] | Array, table: pd.DataFrame) -> Array:
    """Return for which rows of a table each text holds: (p, n) bool.

    Raises:
        InputError: a text names a column that the table lacks, or a condition that there is none of.
    """
    columns = plain_columns(table)
    found = np.ones((len(texts), len(table)), dtype=bool)
    for row, text in zip(found, texts):
        for name, how, value in json.loads(str(text)):
            if name not in columns or how not in _HOLDS:
                raise InputError(f"The condition {name!r} {how} {value!r} fits no column of the table; write it anew.")
            held = columns[name]
            alike = (held.dtype.kind == "f") == isinstance(value, (int, float))
            row &= _HOLDS[how](held, value) if alike else False
    return found


def of_form(texts: Array, several: bool) -> Array:
    """Return the texts of one form: with several conditions, or with one."""
    return np.array([text for text in texts.tolist() if (len(json.loads(text)) > 1) == several], dtype=str)
