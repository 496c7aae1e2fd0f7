"""Quantile regression: is the model surer of this record than one would expect from what the record is?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.references import known_public, too_few_public
from safelight.attacks.membership.signal import signal
from safelight.data.features import table_features
from safelight.data.records import Records, concat
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class QuantileRegression:
    """Predict from a record how sure the model should be, and score by how far its real answer lies above that.

    What it shows: whether members stand out among records as hard as they are, without training a single shadow model.
    Who could do it: anyone who gets class scores, or a regressor's predictions, and holds public records like the
        model's own; nothing need be known of how the model is trained.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The model is asked about public records. Gradient-boosted trees learn from inputs and label the mean of the signal
    (the log odds of the label) and, from what they miss on records left out, its spread. The score is the answer's
    distance above the predicted mean in predicted deviations: the order of the predicted Gaussian's quantiles. Records
    beyond the budget get the median score.

    Attributes:
        population: public records that are asked (>= 20); these queries count.
        components: principal components that an image is described by (>= 1).
        rounds: trees of each of the two regressions (>= 1).
    """

    code: ClassVar[str] = "M005"
    title: ClassVar[str] = "Quantile regression"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Bertran et al. 2023, arXiv:2307.03694, section 3 (Gaussian scores)"
    deep: ClassVar[bool] = False

    population: int = 2000
    components: int = 20
    rounds: int = 50

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 20)

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1).

        Raises:
            AccessDenied: there are no public records.
            InputError: there are fewer than 20.
            BudgetSpent: the budget does not pay for 20 public records and one in question.
        """
        public = known_public(view)
        if public is None:
            raise AccessDenied(
                "This attack needs public records of classes that the target knows; name public data, and grant it."
            )
        if len(public) < 20:
            raise InputError(f"This attack learns from at least 20 public records, and there are {len(public)}.")
        z_rows, rows = self._share(view, len(question.records), len(public), rng)
        z, x = public.take(z_rows), question.records.take(rows)
        both = concat([z, x])
        answered = view.scores(both.x) if view.classes else view.labels(both.x)
        values = signal(answered, both.y, len(view.classes))
        features = described(both, len(view.classes), len(z), self.components)
        mean, spread = expected(features[: len(z)], values[: len(z)], features[len(z) :], self.rounds)
        return beliefs(len(question.records), rows, (values[len(z) :] - mean) / spread)

    def _share(self, view: View, records: int, public: int, rng: Generator) -> tuple[Array, Array]:
        """Return which public records (z,) and which records in question (m,) the budget pays for."""
        z = int(min(self.population, public, max(view.left() - records, view.left() // 2)))
        if z < 20:
            raise BudgetSpent(
                f"This attack asks about at least 20 public records, and the {view.left():.0f} queries left do not pay "
                "for them and for the records in question; nothing was sent."
            )
        return np.sort(rng.permutation(public)[:z]), affordable(view, records, rng, besides=z)


def described(records: Records, classes: int, public: int, components: int) -> Array:
    """Return features (n, d) of inputs and label; components of images are those of the first `public` records."""
    if records.is_table:
        inputs = table_features(records.x)
    else:
        flat = records.x.reshape(len(records), -1)
        count = min(components, public, flat.shape[1])
        inputs = PCA(count, svd_solver="full").fit(flat[:public]).transform(flat)
    label = np.eye(classes)[records.y] if classes else records.y[:, None]
    return np.hstack([inputs, label])


def expected(seen: Array, values: Array, asked: Array, rounds: int, folds: int = 5) -> tuple[Array, Array]:
    """Return mean (m,) and spread (m,) of the signal that records with these features should have.

    The spread is learnt from the logs of the absolute errors on records that the mean was not fitted to; for a Gaussian
    their mean lies (log 2 + Euler's constant) / 2 = 0.635 below the log of the deviation.

    Args:
        seen: (z, d) features of public records; values: (z,) their signals; asked: (m, d).
    """
    trees = HistGradientBoostingRegressor(max_iter=rounds, learning_rate=0.1, min_samples_leaf=10, random_state=0)
    missed = np.abs(values - cross_val_predict(trees, seen, values, cv=KFold(folds)))
    floor = max(float(np.median(missed)), 1e-6) * 1e-2
    mean = trees.fit(seen, values).predict(asked)
    spread = np.exp(trees.fit(seen, np.log(np.maximum(missed, floor))).predict(asked) + 0.635)
    return mean, np.maximum(spread, floor)
