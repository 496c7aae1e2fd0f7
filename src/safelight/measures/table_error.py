"""How far a rebuilt table is from the true one: the share of wrong cells after the best one-to-one matching."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.optimize import linear_sum_assignment

from safelight.errors import InputError


def table_error(rebuilt: Array, truth: Array) -> float:
    """Return the mean share of wrong cells in [0, 1] (Ferry et al. 2024, arXiv:2402.19232, section 5).

    The order of a table means nothing: rows are matched so that as few cells as possible are wrong.

    Args:
        rebuilt: (n, d).
        truth: (n, d), of the same kind.

    Raises:
        InputError: the tables have different shapes, or no cell.
    """
    if rebuilt.shape != truth.shape or not truth.size:
        raise InputError(
            f"A rebuilt table of shape {rebuilt.shape} cannot be matched with one of shape {truth.shape}; "
            "both need the same rows and columns, at least one."
        )
    wrong = np.stack([(row != truth).mean(axis=1) for row in rebuilt])
    return float(wrong[linear_sum_assignment(wrong)].mean())


def chance_error(public: Array, truth: Array, rng: Generator, tables: int = 20) -> float:
    """Return the mean `table_error` of tables whose cells are drawn, column by column, from `public` (m, d).

    That is what someone reaches who knows how common each value is, and has no model.
    """
    drawn = (rng.permuted(public[rng.integers(len(public), size=len(truth))], axis=0) for _ in range(tables))
    return float(np.mean([table_error(table, truth) for table in drawn]))
