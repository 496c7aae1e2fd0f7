"""Forests of random splits with noisy leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_sklearn
from safelight.defences.guarantee import Guarantee, noise_seed
from safelight.defences.training.public import public_for
from safelight.errors import InputError
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.settings import check
from safelight.targets.base import Target
from safelight.targets.sklearn import from_sklearn

DRAWN = 16
"""Made-up rows a leaf from which splits are drawn."""


@dataclass(frozen=True)
class DpForest(InTraining):
    """Grow trees whose splits never saw a private record, and put noise on the counts in their leaves.

    What it does: each tree is split at random, so that its shape tells nothing. A record only adds one to the count of
    its class in one leaf of each tree that it is given to; whole-number noise hides that one.
    Evidence for: a proof; the noise is discrete, so that it also holds for computers. With enough records a forest of
    random splits is a fair classifier (Jagannathan, Pillaipakkamnatt and Wright 2009, ICDM workshops).
    Evidence against: from private forests good parts of the training tables were still rebuilt, and the only forests
    that withstood predicted no better than a constant (Gorge et al. 2025, arXiv:2502.05307).
    Cost: accuracy, since splits are blind and leaves are noisy; tables with a few telling columns among many suffer
    most. Time is less than that of a plain forest.

    Unit and adjacency: one record more or less (add-remove); delta is 0. The number of classes counts as known. A
    search over settings on the private records is not counted.

    With `disjoint`, each record is given to one tree, drawn at random, and all trees may spend epsilon at once; else
    each record is in each of T trees, and each of these spends epsilon / T. The noise k has odds proportional to
    exp(-epsilon |k|) (two-sided geometric; Ghosh, Roughgarden and Sundararajan 2009). A leaf's scores are its counts,
    cut at 0, plus the noise's own size, so that an empty leaf says nothing.

    Splits are drawn in the range of the inputs: from `public` records where they are given, else from rows between
    `low` and `high`, else in the range of the images.

    Attributes:
        epsilon: promised, in nats (> 0).
        trees: number of trees (>= 1); None for the model's own, 1 for a single tree.
        depth: largest number of splits above a leaf (>= 1).
        disjoint: each record is given to one tree alone.
        low, high: of every column, chosen without looking at the private records; None for the range of the images.
        public: records of other people that splits are drawn from.
        repeatable: splits, parts and noise follow the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "dp-forest"
    title: ClassVar[str] = "Private random forest"
    source: ClassVar[str] = "Jagannathan et al. 2009, ICDM workshops, A practical DP random decision tree classifier"

    epsilon: float = 8.0
    trees: int | None = 30
    depth: int = 6
    disjoint: bool = False
    low: float | None = None
    high: float | None = None
    public: Records | None = None
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        why = needs_sklearn(self, recipe, "the trees")
        if why:
            return why
        kind = type(cast(SklearnRecipe, recipe).estimator)
        if kind not in (RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier, ExtraTreeClassifier):
            return (
                f"{self.title} grows classification trees on numbers, and the model is a {kind.__name__}; give a "
                "forest or a tree without steps before it."
            )
        return ""

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what a training promises, whatever the number of records."""
        return Guarantee(self.epsilon, 0.0, how="splits saw no private record, and noise hides each record's counts")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        made = cast(SklearnRecipe, recipe)
        rng = np.random.default_rng(np.random.SeedSequence([noise_seed(seed, self.repeatable), 0xD95]))
        rows, classes = _numbers(self.title, made, records), int(records.y.max()) + 1
        trees = self.trees if self.trees is not None else int(getattr(made.estimator, "n_estimators", 1))
        forest = ExtraTreesClassifier(
            trees, max_depth=self.depth, max_features=1, random_state=int(rng.integers(2**31)), n_jobs=1
        )
        blind = self._blind(made, records, rows.shape[1], max(classes, 2), rng)
        # Random classes: no split is better than another one.
        forest.fit(blind, rng.permutation(np.arange(len(blind)) % classes))
        own = rng.integers(0, trees, len(rows))
        for number, tree in enumerate(forest.estimators_):
            mine = own == number if self.disjoint else np.ones(len(rows), bool)
            counts = np.zeros((tree.tree_.node_count, classes))
            np.add.at(counts, (tree.apply(rows[mine]), records.y[mine]), 1)
            spent = self.epsilon if self.disjoint else self.epsilon / trees
            tree.tree_.value[:, 0, :] = shares(counts + geometric(spent, counts.shape, rng), spent)
        if made.inputs is None:
            forest.feature_names_in_ = np.asarray(records.x.columns, dtype=object)
        like = made.inputs if made.inputs is not None else records.x
        return from_sklearn(forest, like, range(classes), name="retrained")

    def _blind(self, recipe: SklearnRecipe, records: Records, columns: int, classes: int, rng: Generator) -> Array:
        """Return rows (m, columns) that splits are drawn from: no private one. Of `records` only their kind counts."""
        size = max(DRAWN * 2**self.depth, classes)
        if self.public is not None:
            rows = _numbers(self.title, recipe, public_for(self, records))
            return rows[rng.integers(0, len(rows), max(len(rows), classes))]
        low, high = self.low, self.high
        if recipe.inputs is not None:
            low = recipe.inputs.low if low is None else low
            high = recipe.inputs.high if high is None else high
        if low is None or high is None or low >= high:
            raise InputError(
                f"{self.title} draws its splits between low and high, and they are {low} and {high}; give public "
                "records, or two numbers that hold for every column."
            )
        return rng.uniform(low, high, (size, columns)).astype(np.float32)


def geometric(epsilon: float, shape: tuple[int, ...], rng: Generator) -> Array:
    """Return whole numbers with odds proportional to exp(-epsilon |k|): the difference of two geometric ones."""
    stop = -math.expm1(-epsilon)
    return rng.geometric(stop, shape) - rng.geometric(stop, shape)


def shares(counts: Array, epsilon: float) -> Array:
    """Return noisy counts (nodes, classes) as probabilities, each count with the noise's standard deviation on top."""
    fade = math.exp(-epsilon)
    kept = np.maximum(counts, 0.0) + max(math.sqrt(2 * fade) / (1 - fade), 1e-9)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def _numbers(title: str, recipe: SklearnRecipe, records: Records) -> Any:
    if recipe.inputs is not None:
        return records.x.reshape(len(records), -1).astype(np.float32)
    try:
        return records.x.to_numpy(dtype=np.float32)
    except ValueError:
        raise InputError(
            f"{title} needs columns of numbers, and some hold words; encode them with fixed categories."
        ) from None
