"""One target, the same reference models for every attack: the package's attacks on answers that are on file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from scipy.stats import t as student

from safelight.attacks.base import Attack
from safelight.data.outputs import ROW
from safelight.data.records import Records
from safelight.evidence import WhoWasIn
from safelight.measures.roc import auc
from safelight.measures.weighted_roc import ranked
from safelight.targets.base import Side, Target
from safelight.targets.recorded import RecordedModel, RecordedShadows
from safelight.threat import Access, ThreatModel


@dataclass(frozen=True)
class Game:
    """What there is to attack; the first `asked` records are in question, the rest is public.

    Attributes:
        y: (n,) labels.
        target: (n, classes) probabilities of the target.
        member: (asked,) bool.
        references: (models, n, classes) those of the reference models.
        inside: (models, n) what each was trained on.
    """

    y: Array
    target: Array
    member: Array
    references: Array
    inside: Array

    def scores(self, attack: Attack) -> Array:
        """Return the attack's scores (asked,)."""
        asked = len(self.member)
        records = Records.of(pd.DataFrame({ROW: np.arange(len(self.y))}), self.y)
        public = records.take(np.arange(asked, len(self.y))) if len(self.y) > asked else None
        classes = tuple(str(number) for number in range(self.target.shape[1]))
        side = Side(public, RecordedShadows(self.references, self.inside))
        view = Target("target", RecordedModel(self.target, classes)).view(ThreatModel(Access.SCORES), side)
        answer = attack.run(view, WhoWasIn(records.take(np.arange(asked))), np.random.default_rng(0))
        return np.asarray(answer.values[:, 0])

    def figures(self, scores: Array) -> tuple[float, float]:
        """Return AUC and TPR at 1 % FPR; members tied with the threshold do not count."""
        member = self.member.astype(float)
        tpr = ranked(scores).tpr(member[None], 1 - member[None], np.array([0.01]))[0, 0]
        return auc(scores[self.member], scores[~self.member]), float(tpr)


def mean_and_interval(values: Array) -> tuple[float, float, float]:
    """Return the mean of one value a target and its 95 % t-interval: over targets, for the references at hand."""
    reach = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(np.mean(values) - reach), float(np.mean(values) + reach)


def told(values: Array, digits: int = 3) -> str:
    """Return "mean (low to high)"."""
    mean, low, high = mean_and_interval(values)
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
