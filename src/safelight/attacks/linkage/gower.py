"""How far records lie from released ones: Gower's distance over the columns that both have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from scipy.spatial.distance import cdist

from safelight.data.predicates import is_numeric
from safelight.errors import InputError

_CELLS = 4_000_000


def distances(records: pd.DataFrame, release: pd.DataFrame) -> Iterator[Array]:
    """Yield the distances of records (n rows) to released ones (m rows), some rows (c, m) at a time, in order.

    A column of numbers counts |a - b| over its range in both tables, any other column 0 for the same word and 1 for
    another; the distance is their mean, in [0, 1] (Gower 1971, Biometrics 27). Rounded, so that equal ones are ties.

    Raises:
        InputError: there is no column, or one holds numbers in one table and words in the other.
    """
    if not len(release.columns):
        raise InputError("There is no column to compare records by; name at least one.")
    left, right = records[list(release.columns)], release
    numbers = [name for name in release.columns if _numeric(left[name], right[name])]
    words = [name for name in release.columns if name not in numbers]
    one, other = (table[numbers].to_numpy(float) for table in (left, right))
    low = np.minimum(one.min(axis=0), other.min(axis=0)) if numbers else np.zeros(0)
    high = np.maximum(one.max(axis=0), other.max(axis=0)) if numbers else np.zeros(0)
    width = np.where(high > low, high - low, 1.0)
    codes = [pd.factorize(pd.concat([left[name], right[name]]).astype(str))[0] for name in words]
    coded = np.stack(codes, axis=1).astype(float) if codes else np.zeros((len(left) + len(right), 0))
    step = max(1, _CELLS // len(right))
    for start in range(0, len(left), step):
        rows = slice(start, min(start + step, len(left)))
        total = np.zeros((rows.stop - start, len(right)))
        if numbers:
            total += cdist((one[rows] - low) / width, (other - low) / width, "cityblock")
        if words:
            total += len(words) * cdist(coded[rows], coded[len(left) :], "hamming")
        yield np.round(total / len(release.columns), 12)


def _numeric(left: pd.Series, right: pd.Series) -> bool:
    if is_numeric(left) != is_numeric(right):
        word = (right if is_numeric(left) else left).iloc[0]
        raise InputError(
            f"The column {left.name!r} holds numbers in one table and {str(word)!r} in the other; code it the same way "
            "in the records and in the release."
        )
    return is_numeric(left)
