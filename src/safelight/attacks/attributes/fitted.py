"""The fitted trees inside a scikit-learn model: where they are, and what reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from safelight.attacks.attributes.pipeline import through
from safelight.errors import AccessDenied
from safelight.targets.base import View
from safelight.targets.sklearn import class_numbers

TREES = (DecisionTreeClassifier, DecisionTreeRegressor)
FORESTS = (RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor)


@dataclass(frozen=True)
class Fitted:
    """A decision tree or forest, and the steps of the pipeline before it.

    Attributes:
        steps: transformers, in order.
        model: the tree or forest.
    """

    steps: tuple[Any, ...]
    model: Any

    @property
    def trees(self) -> list[Any]:
        """The trees as scikit-learn stores them (`tree_`)."""
        return [self.model.tree_] if isinstance(self.model, TREES) else [each.tree_ for each in self.model.estimators_]

    def reached(self, frame: pd.DataFrame) -> Array:
        """Return what reaches the trees (n, features) float32 of a DataFrame with the target's columns (n rows)."""
        return np.ascontiguousarray(through(self.steps, frame), dtype=np.float32)

    def places(self, y: Array, classes: tuple[str, ...]) -> Array:
        """Return the column of each class number (n,) in the trees' own tables, or -1 for a class they never met."""
        places = np.full(len(classes), -1)
        places[class_numbers(self.model.classes_, classes)] = np.arange(len(self.model.classes_))
        return places[y]  # type: ignore[no-any-return]


def unpacked(estimator: Any) -> Fitted:
    """Return the last estimator of a pipeline and the steps before it; it need not be a tree."""
    last, steps = estimator, []
    while hasattr(last, "steps"):
        steps += [step for _, step in last.steps[:-1] if step not in (None, "passthrough")]
        last = last.steps[-1][1]
    return Fitted(tuple(steps), last)


def fitted_trees(view: View) -> Fitted:
    """Return the trees behind this door; raises AccessDenied below WEIGHTS and for models that are no trees."""
    try:
        fitted = unpacked(view.estimator())
    except AttributeError:
        raise AccessDenied("This attack reads scikit-learn trees, and the target is no scikit-learn model.") from None
    if not isinstance(fitted.model, TREES + FORESTS):
        raise AccessDenied(
            "This attack reads the leaf counts of decision trees and forests, and the target is a "
            f"{type(fitted.model).__name__}."
        )
    return fitted
