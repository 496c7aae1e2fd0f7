"""Asking the model once for every value that the blanked column can take: k queries a record, in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.attributes.column import filled
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import Scores, WhichValue
from safelight.targets.base import Table, View


def columns_read(view: View, question: WhichValue) -> tuple[str, ...]:
    """Return the columns that the target reads, or refuse a question that it cannot be asked.

    Raises:
        AccessDenied: the target takes images, or never reads the column.
        InputError: there are fewer than two values to choose from.
    """
    if not isinstance(view.inputs, Table):
        raise AccessDenied(
            "This attack guesses a column of a table, but the target takes images; choose an image attack."
        )
    if question.column not in view.inputs.columns:
        raise AccessDenied(
            f"The target never reads the column {question.column!r}, so that its answers cannot depend on it; its "
            f"columns are {', '.join(map(str, view.inputs.columns))}."
        )
    if len(question.values) < 2:
        raise InputError(
            f"The column {question.column!r} has {len(question.values)} value(s) to choose from; give at least two."
        )
    return view.inputs.columns


def every_value(view: View, question: WhichValue, send: Callable[[Any], Array], rng: Generator) -> tuple[Array, Array]:
    """Fill the column with each value and ask, all in one batch.

    A budget of q queries pays for the first floor(q / k) records in a random order; the others are not asked.

    Args:
        view: the door; only its budget is read here.
        question: n records and k values.
        send: `view.labels` or `view.scores`.
        rng: draws the order in which records are asked.

    Returns:
        The positions that were asked (m,), rising, and the answers (m, k) or (m, k, classes).

    Raises:
        BudgetSpent: the budget does not pay for a single record; nothing was sent.
    """
    count, order = len(question.values), rng.permutation(len(question.records))
    affordable = int(min(len(order), view.left() // count))
    if affordable == 0:
        raise BudgetSpent(
            f"One record takes {count} queries, one for each value of {question.column!r}, and {view.left():.0f} are "
            "left; nothing was sent."
        )
    rows = np.sort(order[:affordable])
    x = question.records.take(rows).x
    batch = pd.concat(
        [filled(x, question.column, value, question.values) for value in np.asarray(question.values).tolist()],
        ignore_index=True,
    )
    answers = send(batch)
    return rows, np.moveaxis(answers.reshape(count, affordable, *answers.shape[1:]), 0, 1)


def beliefs(question: WhichValue, rows: Array, values: Array) -> Scores:
    """Return beliefs (n, k): `values` (m, k) at the asked `rows`, and one equal row for every record not asked.

    Each row is shifted to mean 0. That keeps the guess and the margin, and makes one column comparable across records.
    """
    everyone = np.zeros((len(question.records), len(question.values)))
    everyone[rows] = values - values.mean(axis=1, keepdims=True)
    return Scores(everyone)
