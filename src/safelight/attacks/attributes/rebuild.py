"""Rebuild the table that a decision tree or forest was trained on, from nothing but the fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.attributes.counts import Leaf, drawn, leaves
from safelight.attacks.attributes.fitted import FORESTS, TREES, unpacked
from safelight.attacks.attributes.held import held_values
from safelight.attacks.attributes.placing import Placed, Unplaced, place
from safelight.errors import AccessDenied
from safelight.evidence import Rebuilt

MOST_LITERALS = 300_000
"""Records times leaves in one program: more would take gigabytes."""


@dataclass(frozen=True)
class Rebuilding:
    """A rebuilt training table, and how far the solver got.

    Attributes:
        table: x (n, d) as it reaches the trees, y (n,) the place of each label in the model's own `classes_`.
        trees: how many trees' counts the records of each class obey (classes,).
        of: trees that there are.
        in_order: whether row i is the i-th training record; else the order means nothing.
    """

    table: Rebuilt
    trees: Array
    of: int
    in_order: bool


def why_not(estimator: Any) -> str:
    """Return why no table can be rebuilt from a fitted estimator or pipeline, or an empty string."""
    model = unpacked(estimator).model
    name = type(model).__name__
    if not isinstance(model, TREES + FORESTS) or not hasattr(model, "classes_"):
        return f"it rebuilds tables from decision trees and forests that classify, and the target is a {name}"
    if getattr(model, "n_outputs_", 1) != 1:
        return f"the {name} predicts {model.n_outputs_} labels at once"
    return ""


def records_of(model: Any) -> int:
    """Return how many records a tree or forest was trained on."""
    known = getattr(model, "_n_samples", None)
    root = model.tree_ if hasattr(model, "tree_") else model.estimators_[0].tree_
    return round(root.weighted_n_node_samples[0]) if known is None else int(known)


def rebuild(
    estimator: Any,
    *,
    whole: Sequence[bool | None] | None = None,
    groups: Sequence[Sequence[int]] = (),
    seconds: float = 60.0,
    trees: int | None = None,
    seeds: bool = True,
    seed: int = 0,
) -> Rebuilding:
    """Find a table that a decision tree or forest can have been trained on (Ferry et al. 2024, arXiv:2402.19232).

    Every leaf keeps how many records of each class ended there, and a bootstrap tree also how many different ones. With
    how often each tree drew each record, that makes equations, which are solved class by class. Without bootstrap that
    is once. With bootstrap the paper maximises the likelihood of the draws; here they are drawn again from the seeds
    that scikit-learn's forests keep, which makes them known. Without the seeds it is the paper's way, with two
    additions: the sizes of the classes are their mean shares of the roots, and every record is drawn by a usual number
    of trees. Where the solver comes to no end, it starts again with a third of the trees.

    Args:
        estimator: fitted; of a pipeline the last step is read.
        whole: for each column that reaches the trees whether it holds whole numbers alone, or None to tell it from
            the cuts. Extra trees cut anywhere, and their columns of whole numbers should be named.
        groups: columns that encode one category: every record has just one of them above its least value.
        seconds: of the solver's own clock, which counts steps, so that results are the same on every machine, and goes
            about as fast as the wall's.
        trees: use so many at most; all when left out.
        seeds: whether to use the seeds.
        seed: of the search.

    Returns:
        The table; a cell that no tree looks at is arbitrary.

    Raises:
        AccessDenied: the model is no classifying tree or forest, or was trained with weights or missing values.
        MissingExtra: OR-tools is not installed.
    """
    reason = why_not(estimator)
    if reason:
        raise AccessDenied(f"There is no table to rebuild: {reason}.")
    fitted = unpacked(estimator)
    stored = [leaves(tree) for tree in fitted.trees[:trees]]
    held = held_values(stored, [None] * fitted.model.n_features_in_ if whole is None else whole)
    copies = drawn(fitted.model) if seeds or not getattr(fitted.model, "bootstrap", False) else None
    copies = None if copies is None else copies[: len(stored)]
    if copies is not None and (copies.sum(axis=1) != [_root(tree).counts.sum() for tree in stored]).any():
        raise AccessDenied("The counts of these trees are not those of the records that they drew: they were weighted.")
    table = _Table(stored, held, groups, records_of(fitted.model), seed)
    in_order = copies is not None and bool((copies != 1).any())
    y = table.labels(copies, seconds / 10) if copies is not None and in_order else np.repeat(*table.sizes())
    parts = [np.flatnonzero(y == label) for label in np.unique(y)]
    cells, left = np.zeros((table.total, len(held)), dtype=int), seconds
    used = np.zeros(len(fitted.model.classes_), dtype=int)
    for number, rows in enumerate(parts):
        part = Unplaced(y[rows], None if copies is None else copies[:, rows], table.total, table.draws, not in_order)
        found, count = table.solved(part, left / (len(parts) - number))
        assert found.x is not None
        cells[rows], y[rows], left = found.x, found.y, left - found.spent
        used[np.unique(found.y)] = count
    x = np.stack([values[cells[:, column]] for column, values in enumerate(held)], axis=1)
    return Rebuilding(Rebuilt(x, y), used, len(fitted.trees), in_order)


@dataclass(frozen=True)
class _Table:
    """What stays the same while the parts of a table are solved."""

    trees: Sequence[Sequence[Leaf]]
    held: Sequence[Array]
    groups: Sequence[Sequence[int]]
    total: int
    seed: int

    @property
    def draws(self) -> int:
        return int(_root(self.trees[0]).counts.sum())

    def sizes(self) -> tuple[Array, Array]:
        """Return the classes and how many records each has: mean shares of the roots, rounded to the total."""
        roots = np.mean([_root(tree).counts for tree in self.trees], axis=0)
        wanted = roots / roots.sum() * self.total
        sizes = np.floor(wanted).astype(int)
        sizes[np.argsort(sizes - wanted, kind="stable")[: self.total - sizes.sum()]] += 1
        return np.arange(len(sizes)), sizes

    def labels(self, copies: Array, effort: float) -> Array:
        """Return the class of each record (n,) where the roots alone prove it, else -1 for all."""
        unknown = Unplaced(np.full(self.total, -1), copies, self.total, self.draws, alike=False)
        roots = [[_root(tree)] for tree in self.trees]
        found = place(roots, unknown, (), (), effort / 2, self.seed)
        if found.x is not None and place(roots, unknown, (), (), effort / 2, self.seed, other=found.y).impossible:
            return found.y
        return unknown.labels

    def solved(self, records: Unplaced, effort: float) -> tuple[Placed, int]:
        """Return records that fit the counts of as many trees as the effort allows, and how many those are.

        Raises:
            AccessDenied: it is proven that there are none.
        """
        count, spent = self._fitting(len(records.labels)), 0.0
        while count:
            share = max((effort - spent) * (1 if count == 1 else 2 / 3), 1.0)
            copies = None if records.copies is None else records.copies[:count]
            found = place(self.trees[:count], replace(records, copies=copies), self.held, self.groups, share, self.seed)
            spent += found.spent
            if found.x is not None:
                return replace(found, spent=spent), count
            if found.impossible and copies is not None:
                raise AccessDenied(
                    f"No table of {self.total} records has the counts of the first {count} tree(s), so that they do "
                    "not come from plain training: records were weighted, or values were missing."
                )
            count //= 3
        anything = np.zeros((len(records.labels), len(self.held)), dtype=int)
        return Placed(anything, np.maximum(records.labels, 0), spent, impossible=False), 0

    def _fitting(self, records: int) -> int:
        """Return how many trees one program can hold, at least one."""
        literals = np.cumsum([records * len(tree) for tree in self.trees])
        return max(int((literals <= MOST_LITERALS).sum()), 1)


def _root(tree: Sequence[Leaf]) -> Leaf:
    """Return the root of a tree as if it were its only leaf."""
    return Leaf((), np.sum([leaf.counts for leaf in tree], axis=0), sum(leaf.distinct for leaf in tree))
