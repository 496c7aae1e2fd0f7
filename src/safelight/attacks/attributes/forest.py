"""Rebuild the whole training table from a tree or forest, and read the sensitive value in it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.attributes.ask import beliefs, columns_read
from safelight.attacks.attributes.column import filled
from safelight.attacks.attributes.fitted import fitted_trees, unpacked
from safelight.attacks.attributes.placing import need_solver
from safelight.attacks.attributes.rebuild import rebuild, records_of, why_not
from safelight.errors import AccessDenied, MissingExtra
from safelight.evidence import Rebuilt, Scores, WhichValue
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class ForestReconstruction:
    """Rebuild the table that a forest was trained on, and read the sensitive value of the record that is most alike.

    What it shows: whether the counts stored in a published tree or forest give the whole training table away.
    Who could do it: anyone who holds the model file; to read one person's value, who also knows the rest of the record
        and its true label.
    How to lower it: larger tables, fewer and shallower trees; delete the seeds (`random_state`) of the forest and of
        each of its trees; do not publish the file.

    Every leaf keeps how many records of each class ended there: an equation about the table. scikit-learn's bootstrap
    trees keep the seed of their sample too, so that it can be drawn again; then the equations hold for numbered
    records, and bootstrap does not hide the table but gives even its order away. A constraint solver (OR-tools CP-SAT)
    finds a table with all these counts, from the model alone. The belief in v is the largest share of trees in which
    the record, completed by v, falls into the same leaf as a rebuilt record with its label.

    On 100 patients with 13 binary columns a default forest gives back all but 1 cell in 100 (tables drawn by chance: 23
    wrong), with its seeds deleted all but 14. Of 25 values decided by coins this attack reads 21.7 and A004 19.0.

    The whole table is what `safelight.attacks.attributes.rebuild.rebuild(estimator)` returns.

    Attributes:
        seconds: the solver's work (> 0), by its own clock, which counts steps and goes about as fast as the wall's.
        trees: use so many trees at most (>= 1).
        seeds: whether bootstrap samples are drawn again from the seeds that the forest keeps.
        max_records: larger training tables are not tried (>= 1).
    """

    code: ClassVar[str] = "A006"
    title: ClassVar[str] = "Attribute from a rebuilt table"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichValue
    source: ClassVar[str] = "Ferry et al. 2024, ICML, arXiv:2402.19232 (the table); seeds and shared leaves are ours"
    deep: ClassVar[bool] = True

    seconds: float = 30.0
    trees: int = 100
    seeds: bool = True
    max_records: int = 400

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        if not hasattr(model, "estimator"):
            return "the target is no scikit-learn model"
        estimator = model.estimator()
        reason = why_not(estimator) or self._too_many(unpacked(estimator).model)
        try:
            need_solver("it")
        except MissingExtra as missing:
            return reason or str(missing).rstrip(".")
        return reason

    def run(self, view: View, question: WhichValue, rng: Generator) -> Scores:
        """Return beliefs (n, k).

        Raises:
            AccessDenied: the weights are not granted, or the model is none that `misfit` is silent about.
            MissingExtra: OR-tools is not installed.
        """
        columns = list(columns_read(view, question))
        fitted = fitted_trees(view)
        reason = why_not(fitted.model) or self._too_many(fitted.model)
        if reason:
            raise AccessDenied(f"This attack has no table to rebuild: {reason}.")
        x = question.records.x
        asked = np.stack(
            [
                fitted.reached(filled(x, question.column, value, question.values)[columns])
                for value in np.asarray(question.values).tolist()
            ]
        )  # (k, n, columns that reach the trees)
        found = rebuild(
            fitted.model,
            whole=(asked == np.rint(asked)).all(axis=(0, 1)).tolist(),
            seconds=self.seconds,
            trees=self.trees,
            seeds=self.seeds,
            seed=int(rng.integers(2**31)),
        )
        if found.trees.min() < min(self.trees, found.of):
            warnings.warn(
                f"The rebuilt table fits the counts of {found.trees.min()} of {found.of} trees; more seconds may help.",
                stacklevel=2,
            )
        y = fitted.places(question.records.y, view.classes)
        belief = np.stack([shared_leaves(fitted.trees, rows, y, found.table) for rows in asked], axis=1)
        return beliefs(question, np.arange(len(x)), belief)

    def _too_many(self, model: Any) -> str:
        records = records_of(model)
        return f"it tries {self.max_records} records, and there are {records}" if records > self.max_records else ""


def shared_leaves(trees: Sequence[Any], x: Array, y: Array, table: Rebuilt) -> Array:
    """Return for each record the largest share of trees in which it shares its leaf with a rebuilt record of its class.

    Args:
        trees: as scikit-learn stores them (`tree_`).
        x: records as they reach the trees (n, columns).
        y: places of their labels (n,); -1 for a class that the trees never met.
        table: the rebuilt records.

    Returns:
        Shares (n,) in [0, 1]; 0 where no rebuilt record has the label.
    """
    places, own = (
        np.stack([tree.apply(np.ascontiguousarray(rows, dtype=np.float32)) for tree in trees], axis=1)
        for rows in (x, table.x)
    )
    best = np.zeros(len(x))
    for row, (leaves, label) in enumerate(zip(places, y)):
        best[row] = (own[table.y == label] == leaves).mean(axis=1).max(initial=0.0)
    return best
