"""The values that trees can tell apart in a column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.attributes.counts import Leaf


def held_values(trees: Iterable[Sequence[Leaf]], whole: Sequence[bool | None]) -> list[Array]:
    """Return one value for every stretch between the cuts of a column, rising; a column that is never cut holds 0.

    A stretch stands for its middle, and the outermost lie as far beyond their cut as the two nearest cuts are apart.

    Args:
        trees: leaves of each tree.
        whole: for each column whether it holds whole numbers alone; None takes it for such where all its cuts are
            multiples of a half, as those between whole numbers are that differ by one.
    """
    cuts: list[set[float]] = [set() for _ in whole]
    for tree in trees:
        for leaf in tree:
            for column, threshold, _ in leaf.path:
                cuts[column].add(threshold)
    return [_stretches(np.array(sorted(cut)), known) for cut, known in zip(cuts, whole)]


def _stretches(cuts: Array, whole: bool | None) -> Array:
    if not len(cuts):
        return np.zeros(1)
    if np.array_equal(2 * cuts, np.rint(2 * cuts)) if whole is None else whole:
        ends = np.unique(np.floor(cuts))
        return np.concatenate([ends[:1], np.floor((ends[:-1] + ends[1:] + 1) / 2), ends[-1:] + 1])
    gap = float(np.diff(cuts).min()) if len(cuts) > 1 else 1.0
    return np.concatenate([[cuts[0] - gap / 2], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + gap / 2]])
