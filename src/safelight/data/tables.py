"""Load a table: CSV, Parquet or a DataFrame, with its label, its sensitive columns and its person column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray as Array

from safelight.data.labels import number_labels
from safelight.data.records import Records
from safelight.errors import InputError, MissingExtra, did_you_mean

MOST_CLASSES = 20
"""A label of real numbers with more distinct values than this is taken for the answer of a regression."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are: read from the members, kept for nonmembers and public.

    Attributes:
        label: name of the label column, or None.
        classes: names of the classes in the order of their numbers; () for regression.
        inputs: names of the columns that stay in x, in order.
        numeric: those of them that hold numbers; the others hold categories.
        person: name of the person column, or None.
    """

    label: str | None
    classes: tuple[str, ...]
    inputs: tuple[str, ...]
    numeric: tuple[str, ...]
    person: str | None = None

    @property
    def categorical(self) -> tuple[str, ...]:
        return tuple(column for column in self.inputs if column not in self.numeric)


def load_table(
    source: Path | str | pd.DataFrame,
    label: str | None,
    *,
    person: str | None = None,
    sensitive: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    regression: bool | None = None,
    like: Columns | None = None,
    name: str = "table",
) -> tuple[Records, Columns]:
    """Return the rows of a table as Records, and what its columns are.

    x keeps every column but label and person, with its values as they are. ids are "file:row", rows counted from 0.

    Args:
        source: a .csv or .parquet file, or a DataFrame.
        label: column to predict; None where nothing is predicted, as in a released table: y is 0.
        person: column that says who a row is about.
        sensitive: columns that hold secrets; they stay in x.
        classes: names of the classes in the order to keep, such as the model's; by default every label seen, sorted.
        regression: whether the label is a real number; by default it is if it has more than 20 distinct values and
            is not stored as whole numbers.
        like: what the columns of the members are; this table must have the same columns and classes.
        name: what a DataFrame is called in ids and errors.

    Raises:
        InputError: a missing or unreadable file, an absent or doubled column, a missing or infinite value, columns
            that differ from `like`, a label that is not among the known classes.
        MissingExtra: a Parquet file without pyarrow.
    """
    if isinstance(source, pd.DataFrame):
        frame, where = source.reset_index(drop=True), f"The {name}"
    else:
        frame, where, name = read_frame(Path(source)), str(source), Path(source).stem
    _check_columns(frame, where, label, person, sensitive)
    _check_values(frame, where)
    x = frame.drop(columns=[column for column in (label, person) if column is not None])
    if like is not None:
        x = _made_like(x, like, where)
        classes, regression = like.classes, not like.classes
    y: Array = np.zeros(len(frame))
    names: tuple[str, ...] = ()
    if label is not None:
        y, names = _answers(frame[label], f"The label column {label!r} of {where}", classes, regression)
    numeric = tuple(column for column in x.columns if _holds_numbers(x[column]))
    ids = np.array([f"{name}:{row}" for row in range(len(frame))])
    who = None if person is None else frame[person].to_numpy()
    return Records.of(x, y, ids, who), Columns(label, names, tuple(x.columns), numeric, person)


def read_frame(path: Path) -> pd.DataFrame:
    """Return a .csv or .parquet file as it is; raises InputError or MissingExtra."""
    if not path.is_file():
        raise InputError(f"There is no file {path}; correct the path.")
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path} ends with {path.suffix or 'nothing'!r}; give a .csv or .parquet file.")
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path)
        return pd.read_parquet(path, engine="pyarrow")
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", f"Reading {path}") from None
    except (ValueError, OSError) as error:  # a ParserError, a UnicodeDecodeError and an ArrowInvalid are ValueErrors
        raise InputError(f"{path} cannot be read as a table ({error}); mend the file.") from error


def _check_columns(
    frame: pd.DataFrame, where: str, label: str | None, person: str | None, sensitive: Sequence[str]
) -> None:
    columns = [str(column) for column in frame.columns]
    doubled = sorted({column for column in columns if columns.count(column) > 1})
    if doubled:
        raise InputError(f"{where} has more than one column called {doubled[0]!r}; rename or drop one.")
    wanted = [("label", label), ("person", person), *(("sensitive", column) for column in sensitive)]
    for role, column in wanted:
        if column is not None and column not in frame.columns:
            raise InputError(
                f"{where} has no {role} column {column!r}; its columns are {', '.join(columns)}."
                f"{did_you_mean(column, columns)}"
            )
    for column in sensitive:
        if column in (label, person):
            raise InputError(
                f"{column!r} cannot be sensitive and the {'label' if column == label else 'person'} column at once; "
                "name another column."
            )
    if len(frame) == 0:
        raise InputError(f"{where} holds no rows; give at least one record.")


def _check_values(frame: pd.DataFrame, where: str) -> None:
    for column in frame.columns:
        values = frame[column]
        bad = values.isna()
        if _holds_numbers(values):
            bad |= ~np.isfinite(values.to_numpy(dtype=float, na_value=np.nan))
        if bad.any():
            raise InputError(
                f"The column {column!r} of {where} has {int(bad.sum())} missing, NaN or infinite value(s), the first "
                f"in row {int(np.flatnonzero(bad)[0])}; drop or fill them before the audit."
            )


def _made_like(x: pd.DataFrame, like: Columns, where: str) -> pd.DataFrame:
    """Return x with the columns, their order and their kinds as in the members."""
    missing = [column for column in like.inputs if column not in x.columns]
    extra = [str(column) for column in x.columns if column not in like.inputs]
    if missing or extra:
        differences = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
        differences += [f"has {', '.join(map(repr, extra))} besides"] if extra else []
        raise InputError(
            f"{where} {' and '.join(differences)}, unlike the members; give both the same columns."
            f"{did_you_mean(missing[0], extra) if missing else ''}"
        )
    x = x[list(like.inputs)].copy()
    for column in like.inputs:
        if column in like.numeric and not _holds_numbers(x[column]):
            word = next(value for value in x[column] if not _is_number(value))
            raise InputError(
                f"The column {column!r} of {where} holds {word!r}, but numbers in the members; correct the column."
            )
        if column in like.categorical and _holds_numbers(x[column]):
            x[column] = x[column].astype(str)
    return x


def _answers(
    label: pd.Series, where: str, classes: Sequence[str] | None, regression: bool | None
) -> tuple[Array, tuple[str, ...]]:
    if regression is None:
        regression = classes is None and label.dtype.kind == "f" and label.nunique() > MOST_CLASSES
    if not regression:
        return number_labels(label.to_numpy(), where, classes)
    if not _holds_numbers(label):
        raise InputError(f"{where} holds {label.iloc[0]!r}, but a regression needs numbers; correct the column.")
    return label.to_numpy(dtype=float), ()


def _holds_numbers(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
