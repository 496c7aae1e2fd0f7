"""Stored records: does this record lie in the model file, as it is?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.sparse import issparse
from scipy.spatial import KDTree
from sklearn.preprocessing import MaxAbsScaler

from safelight.attacks.disclosure.parts import Part, parts, taken
from safelight.errors import AccessDenied
from safelight.evidence import Scores, WhoWasIn
from safelight.recipes.nearest import NearestRecord
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows

ROWS = ("_fit_X", "support_vectors_", "X_fit_", "X_train_")
"""Where scikit-learn keeps training records: neighbours, support vectors, kernel ridge and PCA, Gaussian processes."""

ROWS_OF = {
    "AffinityPropagation": "cluster_centers_",
    "LabelPropagation": "X_",
    "LabelSpreading": "X_",
    "Nystroem": "components_",
}
"""Names that hold training records in these alone, and something else elsewhere."""


@dataclass(frozen=True)
class StoredRecords:
    """Look for each record among those that the model file keeps.

    What it shows: whether training records can be read off the file: nearest neighbours keep all of them, support
        vector machines those near the border.
    Who could do it: anyone who holds the model file. What it keeps can be read off, and a known record looked up.
    How to lower it: publish another kind of model (linear, or trees with large leaves), a few prototypes that average
        many records instead of the records, or answers in place of the file.

    The score is 1 where the record, sent through the steps before the estimator that keeps records, equals one of
    them, else 0; ties are broken by the rule that all scores follow. It walks through pipelines, column transformers,
    searches and ensembles, and reads nearest neighbours (also as imputers and outlier factors), support vector
    machines, kernel ridge and kernel PCA, Gaussian processes, label propagation and Nystroem features. A record that
    was not trained on and equals a kept one in every column is found too: the control is how many of those there are.
    It sends nothing.

    Attributes:
        tolerance: what still counts as equal, as a share of the largest kept value of a column (>= 0); single and
            double precision differ by less than the default.
    """

    code: ClassVar[str] = "D001"
    title: ClassVar[str] = "Stored records"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Jefferson et al. 2022, arXiv:2211.01656 (instance-based models)"
    deep: ClassVar[bool] = False

    tolerance: float = 1e-6

    def misfit(self, model: Model, side: Side) -> str:
        """Return why there is nothing to look for in such a model, or an empty string."""
        estimator = getattr(model, "estimator", None)
        return "the target is no scikit-learn model" if estimator is None else _keeps_none(estimator())

    def planted(self, inputs: Images | Table, leak: float = 1.0) -> NearestRecord:
        """Return a recipe for a nearest-neighbour model that keeps a random share of its records."""
        return NearestRecord(inputs, leak)

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return 1 for a record that the file keeps, else 0 (n, 1); raises AccessDenied where it keeps none."""
        try:
            model = view.estimator()
        except AttributeError:
            raise AccessDenied("This attack opens scikit-learn models, and the target is none.") from None
        reason = _keeps_none(model)
        if reason:
            raise AccessDenied(f"This attack has nothing to look for: {reason}.")
        x = taken(model, view.inputs, question.records.x)
        return Scores(inside(parts(model, x), len(x), self.tolerance).astype(float)[:, None])


def inside(found: Iterable[Part], records: int, tolerance: float = 1e-6) -> Array:
    """Return which of the records that reached the parts of a model lie inside one of them (n,) bool."""
    kept_inside = np.zeros(records, dtype=bool)
    for part in found:
        kept = kept_rows(part.estimator)
        if kept is not None and part.x is not None:
            kept_inside |= among(_numbers(part.x), _numbers(kept), tolerance)
    return kept_inside


def kept_rows(estimator: Any) -> Any:
    """Return the training records (m, d) that one estimator keeps, dense or sparse, or None."""
    if "precomputed" in (getattr(estimator, name, None) for name in ("metric", "kernel", "affinity")):
        return None  # It keeps distances between records.
    for name in (*ROWS, ROWS_OF.get(type(estimator).__name__, "")):
        rows = getattr(estimator, name, None)
        if rows is not None and np.ndim(rows) == 2 and min(rows.shape):
            return rows
    return None


def among(asked: Any, kept: Any, tolerance: float) -> Array:
    """Return which rows of `asked` (n, d) equal a row of `kept` (m, d) in every column, as (n,) bool."""
    if not issparse(kept):
        kept = kept[~np.isnan(kept).any(axis=1)]
    if asked.shape[1] != kept.shape[1] or not kept.shape[0]:
        return np.zeros(asked.shape[0], dtype=bool)
    scale = MaxAbsScaler().fit(kept)
    asked, kept = scale.transform(asked), scale.transform(kept)
    # Equal rows have equal weighted means; a few of them find the one row that is worth comparing in full.
    weights = np.random.default_rng(0).random((kept.shape[1], 8)) / kept.shape[1]
    means, first = np.unique(kept @ weights, axis=0, return_index=True)
    apart, nearest = KDTree(means).query(asked @ weights, p=np.inf, distance_upper_bound=tolerance + 1e-12)
    found = np.isfinite(apart)
    off = abs(asked[found] - kept[first[nearest[found]]]).max(axis=1)
    found[found] = np.ravel(off.toarray() if issparse(off) else off) <= tolerance
    return found


def _keeps_none(model: Any) -> str:
    """Return that the model keeps no records, or an empty string."""
    if any(kept_rows(part.estimator) is not None for part in parts(model)):
        return ""
    while hasattr(model, "steps"):
        model = model.steps[-1][1]
    return f"a {type(model).__name__} keeps no training records"


def _numbers(rows: Any) -> Any:
    """Return rows (n, d) as float64, sparse where they are."""
    if issparse(rows):
        return rows.tocsr().astype(float)
    return rows.to_numpy(dtype=float) if isinstance(rows, pd.DataFrame) else np.asarray(rows, dtype=float)
