"""A file of outputs alone: what a model answered to members and nonmembers, perhaps with reference models beside it.

One row a record. Columns: `split` (member or nonmember) and `label`; then `p0`, `p1`, ... (class probabilities) or
`loss` (minus the log-probability of the label). Optional: `id`; `person`, who a record is about; `group`, a part of the
population to be looked at by itself; and for each reference model j its own answers `refj_p0`, ... or `refj_loss`, with
`refj_in` (0 or 1), whether it was trained on the record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.labels import number_labels
from safelight.data.records import Records
from safelight.data.tables import read_frame
from safelight.errors import InputError, did_you_mean

ROW = "row"
"""The one column of the records: which row of the file an answer is found in."""


@dataclass(frozen=True)
class Outputs:
    """What one file of outputs holds.

    Attributes:
        records: x is the column `row`, a name without meaning; in the order of the file.
        member: (n,) bool.
        classes: names of the classes.
        answers: (n, classes) probabilities of the model; row r of the file is `answers[r]`.
        references: (models, n, classes) the same of each reference model; (0, n, classes) without any.
        inside: (models, n) whether each was trained on the record.
    """

    records: Records
    member: Array
    classes: tuple[str, ...]
    answers: Array
    references: Array
    inside: Array


def load_outputs(path: Path, rng: Generator) -> Outputs:
    """Read a .csv or .parquet file of outputs.

    A loss is read as the probability exp(-loss) of the label, with the rest shared equally among the other classes: no
    attack that knows the label sees more of an answer than that.

    Args:
        rng: deals out the names of the rows, so that they say nothing about the order of the file.

    Raises:
        InputError: a column is absent, a value is missing, infinite or impossible, or a side has no record.
    """
    frame = read_frame(path)
    columns = [str(column) for column in frame.columns]
    for name in ("split", "label"):
        if name not in columns:
            raise InputError(
                f"{path} has no column {name!r}; it has {', '.join(columns)}.{did_you_mean(name, columns)}"
            )
    split = frame["split"].astype(str)
    wrong = sorted(set(split) - {"member", "nonmember"})
    if wrong:
        raise InputError(f'{path}, column split, holds {wrong[0]!r}; write "member" or "nonmember".')
    member = (split == "member").to_numpy()
    if member.all() or not member.any():
        missing = "nonmembers" if member.all() else "members"
        raise InputError(f"{path} holds no {missing}; an audit compares both.")
    wide = _columns_of(columns, "")
    y, classes = number_labels(frame["label"].to_numpy(), f"{path}, column label", _names(frame, wide, path))
    models = sorted({int(found[1]) for column in columns if (found := re.match(r"ref(\d+)_", column))})
    answers = _answers(frame, "", y, len(classes), path)
    references = [_answers(frame, f"ref{model}_", y, len(classes), path) for model in models]
    inside = [_inside(frame, f"ref{model}_in", path) for model in models]
    shape = (0, len(frame), len(classes))
    names = rng.permutation(len(frame))
    order = np.argsort(names)
    return Outputs(
        Records.of(
            pd.DataFrame({ROW: names}),
            y,
            frame["id"].astype(str) if "id" in columns else None,
            frame["person"].to_numpy() if "person" in columns else None,
            frame["group"].astype(str) if "group" in columns else None,
        ),
        member,
        classes,
        answers[order],
        np.stack(references)[:, order] if references else np.empty(shape),
        np.stack(inside)[:, order] if inside else np.empty(shape[:2], dtype=bool),
    )


def _names(frame: pd.DataFrame, wide: list[str], path: Path) -> tuple[str, ...] | None:
    """Return the names of the classes: 0, 1, ... where there are columns of probabilities, else those of the labels."""
    if not wide:
        return None
    number = pd.to_numeric(frame["label"], errors="coerce").to_numpy()
    if not np.isin(number, np.arange(len(wide))).all():
        bad = frame["label"][~np.isin(number, np.arange(len(wide)))].iloc[0]
        raise InputError(
            f"{path}, column label, holds {str(bad)!r}; with columns p0 to p{len(wide) - 1} it must be a whole number "
            f"from 0 to {len(wide) - 1}: the number of the label's own column."
        )
    return tuple(str(place) for place in range(len(wide)))


def _columns_of(columns: list[str], prefix: str) -> list[str]:
    """Return the columns of probabilities p0, p1, ... after a prefix, in order, as far as they go on."""
    found = {column for column in columns if re.fullmatch(rf"{prefix}p\d+", column)}
    return [f"{prefix}p{place}" for place in range(len(found)) if f"{prefix}p{place}" in found]


def _answers(frame: pd.DataFrame, prefix: str, y: Array, classes: int, path: Path) -> Array:
    """Return probabilities (n, classes) of the model whose columns start with `prefix`."""
    wide = _columns_of([str(column) for column in frame.columns], prefix)
    whose = "the model" if not prefix else f"reference model {prefix[3:-1]}"
    if not wide:
        if f"{prefix}loss" not in frame.columns:
            raise InputError(f"{path} has neither columns {prefix}p0, {prefix}p1, ... nor {prefix}loss for {whose}.")
        return _of_loss(_numbers(frame, f"{prefix}loss", path), y, max(classes, 2), f"{path}, column {prefix}loss")
    if len(wide) != classes:
        raise InputError(f"{path} has {len(wide)} columns {prefix}p0, ... for {whose}, and {classes} classes.")
    answers = np.stack([_numbers(frame, column, path) for column in wide], axis=1)
    off = np.abs(answers.sum(axis=1) - 1)
    if off.max() > 1e-3 or answers.min() < -1e-6:
        row = int(off.argmax()) if off.max() > 1e-3 else int(answers.min(axis=1).argmin())
        raise InputError(
            f"{path}, row {row}: the probabilities of {whose} sum to {answers[row].sum():.4g} with least value "
            f"{answers[row].min():.4g}; they must be at least 0 and sum to 1."
        )
    return answers


def _of_loss(loss: Array, y: Array, classes: int, where: str) -> Array:
    if loss.min() < 0:
        raise InputError(f"{where} holds {loss.min():.4g}; a loss is minus the log of a probability, at least 0.")
    answers = np.repeat(-np.expm1(-loss)[:, None] / (classes - 1), classes, axis=1)
    answers[np.arange(len(y)), y] = np.exp(-loss)
    return answers


def _inside(frame: pd.DataFrame, column: str, path: Path) -> Array:
    if column not in frame.columns:
        raise InputError(f"{path} has no column {column!r}: say for each record whether that model was trained on it.")
    values = _numbers(frame, column, path)
    if not np.isin(values, (0, 1)).all():
        raise InputError(f"{path}, column {column}, holds {values[~np.isin(values, (0, 1))][0]:g}; write 0 or 1.")
    return values == 1


def _numbers(frame: pd.DataFrame, column: str, path: Path) -> Array:
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{path}, row {row}, column {column}, is {frame[column].iloc[row]}; it must be a number.")
    return values
