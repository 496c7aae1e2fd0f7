"""The leaves of every tree in a model, and which training records end in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from sklearn.tree import BaseDecisionTree

from safelight.attacks.disclosure.parts import Part


@dataclass(frozen=True)
class Leaves:
    """Counts over all trees of a model; a leaf that none of the records reaches is not among them.

    Attributes:
        total: leaves.
        small: those that fewer than k records reach.
        smallest: records in the smallest.
        pure: leaves whose records share one class.
        large_pure: those of them that k records or more reach.
    """

    total: int
    small: int
    smallest: int
    pure: int
    large_pure: int


def count_leaves(parts: Iterable[Part], y: Array, k: int) -> Leaves | None:
    """Return counts over all trees, or None where there are none.

    Args:
        parts: of the model, each with the training records that reach it.
        y: (n,) class numbers, or answers of a regression; then single values count as classes.
        k: records.
    """
    classes = np.unique(y, return_inverse=True)[1]
    sizes, kinds = [np.empty(0, dtype=int)], [np.empty(0, dtype=int)]
    for part in parts:
        for leaf in leaves_reached(part):
            place, size = np.unique(leaf, return_inverse=True, return_counts=True)[1:]
            pairs = np.unique(place * (classes.max() + 1) + classes)
            sizes.append(size)
            kinds.append(np.bincount(pairs // (classes.max() + 1)))
    size, pure = np.concatenate(sizes), np.concatenate(kinds) == 1
    if not len(size):
        return None
    small = size < k
    return Leaves(len(size), int(small.sum()), int(size.min()), int(pure.sum()), int((pure & ~small).sum()))


def leaves_reached(part: Part) -> Iterator[Array]:
    """Yield, for each tree of one estimator itself, the number of the leaf that each record reaches (n,)."""
    estimator, x = part.estimator, part.x
    if x is None:
        return
    if isinstance(estimator, BaseDecisionTree):
        yield estimator.apply(x)
    elif hasattr(estimator, "_predictors"):
        numbers = estimator._preprocess_X(x, reset=False)
        known, places = estimator._bin_mapper.make_known_categories_bitsets()
        for tree in (tree for trees in estimator._predictors for tree in trees):
            # These trees tell only the value of a leaf; in a copy each leaf's value is its own number.
            nodes = tree.nodes.copy()
            nodes["value"] = np.arange(len(nodes))
            named = type(tree)(nodes, tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)
            yield named.predict(numbers, known, places, 1).astype(int)
