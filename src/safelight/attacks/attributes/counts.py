"""What a fitted classifier keeps of its training records: counts in leaves, and which records each tree drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import AccessDenied

Test = tuple[int, float, bool]
"""A column, a threshold, and whether the column is above it."""


@dataclass(frozen=True)
class Leaf:
    """One leaf of a tree.

    Attributes:
        path: the tests that lead there; the last one on a column and side is the tightest, and the only one kept.
        counts: records of each class in it (classes,), one drawn twice counts twice.
        distinct: different records in it.
    """

    path: tuple[Test, ...]
    counts: Array
    distinct: int


def leaves(tree: Any) -> list[Leaf]:
    """Return the leaves of a fitted classification tree (`tree_`) that hold a record.

    Raises:
        AccessDenied: counts are no whole numbers: records or classes were weighted.
    """
    weighted = tree.value[:, 0, :] * tree.weighted_n_node_samples[:, None]
    counts = np.rint(weighted).astype(int)
    if np.abs(weighted - counts).max() > 1e-6 * max(counts.max(), 1):
        raise AccessDenied(
            "This attack reads how many records each leaf holds, and these trees hold weights such as "
            f"{weighted.flat[np.abs(weighted - counts).argmax()]:.4g}; weighted records or classes are not undone."
        )
    found: list[Leaf] = []
    waiting: list[tuple[int, dict[tuple[int, bool], float]]] = [(0, {})]
    while waiting:
        node, path = waiting.pop()
        column, threshold = int(tree.feature[node]), float(tree.threshold[node])
        if tree.children_left[node] == -1:
            tests = tuple((column, threshold, above) for (column, above), threshold in path.items())
            found.append(Leaf(tests, counts[node], int(tree.n_node_samples[node])))
        else:
            waiting.append((int(tree.children_right[node]), path | {(column, True): threshold}))
            waiting.append((int(tree.children_left[node]), path | {(column, False): threshold}))
    return [leaf for leaf in found if leaf.counts.any()]


def drawn(model: Any) -> Array | None:
    """Return how often each tree drew each training record (trees, n), or None where that is not kept.

    Every tree keeps the seed that its bootstrap sample was drawn with, and the forest the number of records: drawing
    again gives the same rows. Without bootstrap every record is in every tree once. What is drawn again is held
    against the number of different records in each root.
    """
    trees = [model] if hasattr(model, "tree_") else model.estimators_
    roots = np.array([tree.tree_.n_node_samples[0] for tree in trees])
    if not getattr(model, "bootstrap", False):
        return np.ones((len(trees), roots[0]), dtype=int)
    try:
        copies = np.stack([np.bincount(rows, minlength=model._n_samples) for rows in model.estimators_samples_])
    except (AttributeError, TypeError, ValueError):
        return None
    return copies if np.array_equal((copies > 0).sum(axis=1), roots) else None
