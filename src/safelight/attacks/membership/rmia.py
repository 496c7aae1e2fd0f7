"""RMIA: is the model surer of this record than models that never saw it, more so than for other records?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.special import expit

from safelight.attacks.confidence import confidence
from safelight.attacks.membership.ask import affordable, beliefs
from safelight.attacks.membership.references import known_public, mean_where, references, too_few_public
from safelight.data.records import concat
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import Model, Side, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Rmia:
    """Compare the model's confidence with that of reference models, and rank the ratio among public records.

    What it shows: whether members stand out once the difficulty of each record is taken into account.
    Who could do it: anyone who gets class scores, knows how the model is trained, and holds public records like its
        own to train a few models on.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The attacker trains `references` models of its own, in pairs: one on a random half of the records in question and
    the public records together, its partner on the other half. So half of them never saw any given record. Offline,
    p(x) = ((1 + a) * mean p_out(x) + 1 - a) / 2 takes those alone; online it is the mean of p_in(x) and p_out(x). With
    ratio_x = p_target(x) / p(x), the score is the share of public z with ratio_x >= gamma * ratio_z. That share is the
    same for many records (1 for all that beat every z), which leaves nothing to rank at a low false-positive rate. The
    score is therefore (count of z + expit(log ratio_x)) / (number of z + 1): the second term is below one count, so
    that it only orders records of equal share, by their own ratio.

    Where the owner names the model that the target was fine-tuned from, it is one more reference that never saw the
    records, and alone it is enough: no recipe and no training is needed then. It must not have seen them, nor the
    nonmembers; that is the owner's word.

    The public records must not be among the records in question. Reference answers are shortened and rounded like the
    target's. For regression, p is exp(-(y - f(x))^2 / (2 s^2)), with s^2 the references' mean squared error on z: that
    is ours, not the paper's. A budget too small for n records and z gives a quarter of it to z; records beyond it get
    the median score.

    Attributes:
        references: models that the attacker trains (>= 2).
        population: public records z that are asked (>= 1); these queries count.
        online: whether references that were trained on a record are used for it, too.
        offline_a: a in [0, 1]: how far the mean of the out models is trusted; the paper tunes it for each data set.
        gamma: how many times over a ratio must beat another (> 0); moves the share, never the order of records.
    """

    code: ClassVar[str] = "M002"
    title: ClassVar[str] = "Likelihood ratio (RMIA)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC, Knows.RECIPE})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Zarifzadeh et al. 2024, ICML, arXiv:2312.03262 (RMIA)"
    deep: ClassVar[bool] = False
    based: ClassVar[bool] = True

    references: int = 16
    population: int = 1000
    online: bool = False
    offline_a: float = 0.3
    gamma: float = 1.0

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run with such public records, or an empty string."""
        return too_few_public(model, side, 1)

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1) in (0, 1); raises AccessDenied, BudgetSpent or InputError."""
        public = known_public(view)
        if public is None:
            raise AccessDenied(
                "This attack needs public records of classes that the target knows; name public data, and grant "
                'knows = ["public", "recipe"].'
            )
        others = references(view, question.records, self.references, based=True)
        if self.online and not others.inside.any():
            raise InputError(
                "online needs reference models trained on the records, and there is the base model alone; "
                "leave online off, or give a recipe."
            )
        z_rows, x_rows = self._share(view, len(question.records), len(public), rng)
        x, z = question.records.take(x_rows), public.take(z_rows)
        both, columns = concat([x, z]), np.concatenate([x_rows, others.asked + z_rows])
        answered = view.scores(both.x) if view.classes else view.labels(both.x)
        answers, out = np.concatenate([answered[None], others.answers[:, columns]]), ~others.inside[:, columns]
        if view.classes:
            sure = confidence(answers, np.broadcast_to(both.y, answers.shape[:-1]))
        else:
            errors = (both.y - answers) ** 2
            typical = errors[1:, len(x) :][out[:, len(x) :]].mean()
            # References that never err leave rounding error as the only scale.
            sure = np.exp(-errors / (2 * max(float(typical), np.finfo(float).eps * (float(np.mean(z.y**2)) or 1.0))))
        usual = online_usual(sure[1:], out) if self.online else offline_usual(sure[1:], out, self.offline_a)
        ratios = log_ratios(sure[0], usual)
        return beliefs(len(question.records), x_rows, share_beaten(ratios[: len(x)], ratios[len(x) :], self.gamma))

    def _share(self, view: View, records: int, public: int, rng: Generator) -> tuple[Array, Array]:
        """Return which public records (z,) and which records in question (m,) the budget pays for."""
        if view.left() < 2:
            raise BudgetSpent(f"This attack needs at least 2 queries and {view.left():.0f} are left; nothing was sent.")
        z = int(min(self.population, public, max(view.left() - records, view.left() // 4, 1)))
        return np.sort(rng.permutation(public)[:z]), affordable(view, records, rng, besides=z)


def offline_usual(references: Array, out: Array, offline_a: float) -> Array:
    """Return p (n,) = ((1 + a) * mean of p_out + 1 - a) / 2, from references that never saw the record.

    Args:
        references: (r, n) confidence of each reference in the true label.
        out: (r, n) whether that reference never saw the record; at least one a record.
        offline_a: a in [0, 1].
    """
    return ((1 + offline_a) * mean_where(out, references) + 1 - offline_a) / 2


def online_usual(references: Array, out: Array) -> Array:
    """Return p (n,) = (mean of p_in + mean of p_out) / 2; both sides present for each record."""
    return (mean_where(~out, references) + mean_where(out, references)) / 2


def log_ratios(target: Array, usual: Array) -> Array:
    """Return log(p_target / p) (n,) of the target's confidence (n,) and what is usual for each record (n,)."""
    smallest = np.finfo(float).tiny
    return np.log(np.maximum(target, smallest)) - np.log(np.maximum(usual, smallest))


def share_beaten(ratio_x: Array, ratio_z: Array, gamma: float) -> Array:
    """Return (count of z with ratio_x >= gamma * ratio_z, plus expit(log ratio_x)) / (number of z + 1), (n,).

    Args:
        ratio_x: (n,) log ratios of the records in question.
        ratio_z: (z,) log ratios of the population.
        gamma: > 0.
    """
    beaten = np.searchsorted(np.sort(ratio_z), ratio_x - np.log(gamma), side="right")
    return (beaten + expit(ratio_x)) / (len(ratio_z) + 1)
