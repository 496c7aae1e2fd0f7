"""BaVarIA: LiRA with a prior on every record's mean and variance, so that few shadow models are enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import t as student

from safelight.attacks.membership.ask import beliefs
from safelight.attacks.membership.lira import gaussian
from safelight.attacks.membership.references import Compared, compared
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Bavaria:
    """Compare the model's answer with Student's t predictions learnt from shadow models, record by record.

    What it shows: whether single records were trained on, with fewer shadow models than LiRA needs.
    Who could do it: anyone who gets class scores, or a regressor's predictions, knows how the model is trained, and
        holds the records in question.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    Every record's signal has an unknown mean and variance, among the shadows that were trained on it and among those
    that were not. Their conjugate prior (normal inverse gamma) sits at the mean and the pooled variance of all records;
    a record's own shadows update it. The score is the log density of the target's answer under the "in" prediction
    minus that under the "out" one; where no shadow was trained on some record, it is how deep the answer lies in the
    upper tail of the "out" prediction alone. Records beyond the budget get the median score.

    Attributes:
        references: shadow models (>= 2).
        mean_weight: how many shadows the prior mean counts for (> 0).
        shape: of the prior on the variance; higher trusts the pooled variance more (> 1).
    """

    code: ClassVar[str] = "M004"
    title: ClassVar[str] = "Bayesian likelihood ratio (BaVarIA)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.RECIPE})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Brännvall 2026, arXiv:2603.11799 (BaVarIA-t)"
    deep: ClassVar[bool] = False

    references: int = 16
    mean_weight: float = 0.1
    shape: float = 2.0

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1); raises AccessDenied, BudgetSpent or InputError."""
        seen = compared(view, question.records, self.references, rng)
        return beliefs(len(question.records), seen.rows, ratio(seen, self.mean_weight, self.shape))


def ratio(seen: Compared, mean_weight: float, shape: float) -> Array:
    """Return the score (m,) of each record asked about; see `Bavaria`, and `prediction` for the prior."""
    out = prediction(seen.shadows, ~seen.inside, mean_weight, shape)
    if not seen.online:
        return np.asarray(-out.logsf(seen.target))
    into = prediction(seen.shadows, seen.inside, mean_weight, shape)
    return np.asarray(into.logpdf(seen.target) - out.logpdf(seen.target))


def prediction(shadows: Array, chosen: Array, mean_weight: float, shape: float) -> Any:
    """Return the posterior prediction of a record's signal, as a frozen distribution of n records.

    With n chosen values of mean m: k = k0 + n, a = a0 + n / 2, b = b0 + sum (x - m)^2 / 2 + k0 n (m - m0)^2 / (2 k),
    and the prediction is Student's t with 2 a degrees of freedom around (k0 m0 + n m) / k, squared scale
    b (k + 1) / (a k). The prior sits at m0, the mean of all records, and b0 = (a0 - 1) * pooled variance.

    Args:
        shadows, chosen: (s, n), at least one chosen a record.
        mean_weight: k0. shape: a0.
    """
    count = chosen.sum(axis=0)
    mean, pooled = gaussian(shadows, chosen, fixed=True)
    squares = (np.where(chosen, shadows - mean, 0.0) ** 2).sum(axis=0)
    centre = mean.mean()
    weight = mean_weight + count
    a = shape + count / 2
    b = (shape - 1) * pooled**2 + squares / 2 + mean_weight * count * (mean - centre) ** 2 / (2 * weight)
    place = (mean_weight * centre + count * mean) / weight
    return student(2 * a, place, np.sqrt(b * (weight + 1) / (a * weight)))
