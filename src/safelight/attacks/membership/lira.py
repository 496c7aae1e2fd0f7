"""LiRA: is the model's answer more like that of models trained on this record, or of models that never saw it?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import norm

from safelight.attacks.membership.ask import beliefs
from safelight.attacks.membership.references import compared_views, mean_where
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


class Variance(Enum):
    """Whose spread a Gaussian takes."""

    FIXED = "fixed"
    PER_RECORD = "per record"
    AUTO = "by the number of references"


@dataclass(frozen=True)
class Lira:
    """Compare the model's answer with Gaussians fitted to what shadow models answer, record by record.

    What it shows: whether single records were trained on, strongest where false accusations must be rare.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, and
        holds the records in question.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    Half of the shadow models are trained on a record and half are not. Online, the score is the log likelihood of the
    target's answer under the "in" Gaussian minus that under the "out" one. Offline it is how many deviations the
    answer lies above the "out" mean: the same order as the paper's one-sided probability, without ties near 1. One
    variance for all records is steadier with few shadows; with 64 or more each record has its own.

    With several views of a picture the ratios are averaged over them: a model that was trained with mirrored or moved
    pictures is surer of those, too. Records beyond the budget get the median score.

    Attributes:
        references: shadow models (>= 4).
        online: whether shadows trained on the record are used, too; they are not where some record has none.
        variance: whose spread the Gaussians take.
        views: queries a record: a picture itself, mirrored, moved (>= 1); more than one trains shadows of its own.
    """

    code: ClassVar[str] = "M003"
    title: ClassVar[str] = "Likelihood ratio (LiRA)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.RECIPE})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Carlini et al. 2022, arXiv:2112.03570, algorithm 1 and section VI-C"
    deep: ClassVar[bool] = False

    references: int = 16
    online: bool = True
    variance: Variance = Variance.AUTO
    views: int = 1

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        seen = compared_views(view, question.records, self.references, rng, self.views)
        fixed = self.variance is Variance.FIXED or (self.variance is Variance.AUTO and self.references < 64)
        judge = online_ratio if self.online and seen[0].online else offline_deviation
        scores = np.mean([judge(each.target, each.shadows, each.inside, fixed) for each in seen], axis=0)
        return beliefs(len(question.records), seen[0].rows, scores)


def online_ratio(target: Array, shadows: Array, inside: Array, fixed: bool) -> Array:
    """Return log N(target | in) - log N(target | out) (n,).

    Args:
        target: (n,) signal of the target.
        shadows: (s, n) the same of each shadow.
        inside: (s, n) whether the shadow was trained on the record; both sides present for each.
        fixed: one variance for all records, the mean within records; else each record's own.
    """
    (in_mean, in_spread), (out_mean, out_spread) = gaussian(shadows, inside, fixed), gaussian(shadows, ~inside, fixed)
    return np.asarray(norm.logpdf(target, in_mean, in_spread) - norm.logpdf(target, out_mean, out_spread))


def offline_deviation(target: Array, shadows: Array, inside: Array, fixed: bool) -> Array:
    """Return how many deviations the target's signal lies above those of shadows that never saw the record (n,)."""
    mean, spread = gaussian(shadows, ~inside, fixed)
    return (target - mean) / spread


def gaussian(shadows: Array, chosen: Array, fixed: bool) -> tuple[Array, Array]:
    """Return mean (n,) and standard deviation (n,) of the chosen (s, n) signals of each record.

    Deviations take one degree of freedom a record; a record with a single chosen shadow has the fixed one, and one with
    none the mean of all others, too.
    """
    count, mean = chosen.sum(axis=0), mean_where(chosen, shadows)
    squares = (np.where(chosen, shadows - mean, 0.0) ** 2).sum(axis=0)
    together = squares.sum() / max((count - 1)[count > 0].sum(), 1)
    own = squares / np.maximum(count - 1, 1)
    variance = np.full(mean.shape, together) if fixed else np.where(count > 1, own, together)
    return mean, np.sqrt(np.maximum(variance, 1e-12))
