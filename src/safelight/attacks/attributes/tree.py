"""White-box attribute inference on decision trees and forests: the leaves keep counts of what they were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.attributes.ask import beliefs, columns_read
from safelight.attacks.attributes.column import filled, prior
from safelight.attacks.attributes.fitted import fitted_trees
from safelight.evidence import Scores, WhichValue
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class TreeCounts:
    """Guess the value whose paths end in leaves where the true label was common in training.

    What it shows: whether the sample counts stored in a published tree or forest give a sensitive value away.
    Who could do it: anyone who holds the model file and knows the rest of a record and its true label.
    How to lower it: larger leaves (min_samples_leaf), pruning, fewer and shallower trees; do not publish the file, or
        leave the sensitive column out.

    The belief in v is log P(v) + sum over trees of log((n_y + s) / (n + s * classes)): n training samples reached the
    leaf that (x, v) reaches, n_y of them with the true label y, s is the smoothing, and P(v) is the share of v among
    public records, or equal where none are held. For one tree and s = 0 that is the paper's path estimate (marginal
    times the share of matching training samples on the path that fits what is known), made conditional on the label;
    a forest multiplies its trees. Counts are the weighted ones that the trees store (bootstrap and class weights).
    In a regression tree n_y is n times exp(-(y - m)^2 / (2 w^2)), m the mean of the leaf and w the `width` times the
    deviation of all leaves, with 2 for the number of classes: that is ours, not the paper's. It reads scikit-learn's
    decision trees, random forests and extra trees, also behind a pipeline, and sends nothing.

    Attributes:
        smoothing: samples added to each class of a leaf (> 0), so that one tree cannot exclude a value.
        width: how near to its label a regression leaf must answer, in deviations of all leaves (> 0).
    """

    code: ClassVar[str] = "A004"
    title: ClassVar[str] = "Attribute from tree counts"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichValue
    source: ClassVar[str] = "Fredrikson et al. 2015, CCS, section 4 (white-box with counts)"
    deep: ClassVar[bool] = False

    smoothing: float = 0.1
    width: float = 0.1

    def run(self, view: View, question: WhichValue, rng: Generator) -> Scores:
        """Return beliefs (n, k); raises AccessDenied below WEIGHTS and for models that are no trees."""
        columns = list(columns_read(view, question))
        fitted = fitted_trees(view)
        x, y = question.records.x, question.records.y
        if view.classes:
            y = fitted.places(y, view.classes)
        belief = np.empty((len(x), len(question.values)))
        for column, value in enumerate(np.asarray(question.values).tolist()):
            rows = fitted.reached(filled(x, question.column, value, question.values)[columns])
            belief[:, column] = sum(self._explained(tree, rows, y, bool(view.classes)) for tree in fitted.trees)
        belief += np.log(prior(view.side.public, question.column, question.values))
        return beliefs(question, np.arange(len(x)), belief)

    def _explained(self, tree: Any, rows: Array, y: Array, classes: bool) -> Array:
        """Return log((n_y + s) / (n + s * classes)) of the leaf that each row reaches (n,)."""
        leaf = tree.apply(rows)
        size, held = tree.weighted_n_node_samples, tree.value[:, 0, :]
        if classes:
            share = np.where(y >= 0, held[leaf, y] / held[leaf].sum(axis=1), 0.0)
            kinds = held.shape[1]
        else:
            ends = tree.children_left == -1
            middle = np.average(held[ends, 0], weights=size[ends])
            spread = np.average((held[ends, 0] - middle) ** 2, weights=size[ends])
            narrow = max(float(self.width**2 * spread), 1e-12)
            share = np.exp(-((y - held[leaf, 0]) ** 2) / (2 * narrow))
            kinds = 2
        return np.log((share * size[leaf] + self.smoothing) / (size[leaf] + self.smoothing * kinds))
