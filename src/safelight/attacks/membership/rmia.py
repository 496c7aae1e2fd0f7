"""RMIA, offline: is the model surer of this record than models that never saw it, more so than for other records?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.special import expit

from safelight.attacks.confidence import confidence
from safelight.attacks.membership.ask import affordable, beliefs
from safelight.data.records import Records, concat
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import Scores, WhoWasIn
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class Rmia:
    """Compare the model's confidence with that of reference models, and rank the ratio among public records.

    What it shows: whether members stand out once the difficulty of each record is taken into account.
    Who could do it: anyone who gets class scores, knows how the model is trained, and holds public records like its
        own to train a few models on.
    How to lower it: regularise, stop earlier, train on more records, or train with DP-SGD.

    The attacker trains `references` models of its own, in pairs: one on a random half of the public records (the same
    share of each class), its partner on the other half. So all references are out for the records in question, and
    each public record z is out for half of them. With p(x) = ((1 + a) * mean p_out(x) + 1 - a) / 2 and
    ratio_x = p_target(x) / p(x), the score is the share of z with ratio_x >= gamma * ratio_z. That share is the same
    for many records (1 for all that beat every z), which leaves nothing to rank at a low false-positive rate. The
    score is therefore (count of z + expit(log ratio_x)) / (number of z + 1): the second term is below one count, so
    that it only orders records of equal share, by their own ratio.

    The public records must not be among the records in question. Reference answers are shortened and rounded like the
    target's. For regression, p is exp(-(y - f(x))^2 / (2 s^2)), with s^2 the references' mean squared error on z: that
    is ours, not the paper's. A budget too small for n records and z gives a quarter of it to z; records beyond it get
    the median score.

    Attributes:
        references: models that the attacker trains (>= 2).
        population: public records z that are asked (>= 1); these queries count.
        offline_a: a in [0, 1]: how far the mean of the out models is trusted; the paper tunes it for each data set.
        gamma: how many times over a ratio must beat another (> 0); moves the share, never the order of records.
    """

    code: ClassVar[str] = "M002"
    title: ClassVar[str] = "Likelihood ratio (RMIA)"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC, Knows.RECIPE})
    answers: ClassVar[type] = WhoWasIn
    source: ClassVar[str] = "Zarifzadeh et al. 2024, ICML, arXiv:2312.03262 (offline RMIA)"
    deep: ClassVar[bool] = False

    references: int = 4
    population: int = 1000
    offline_a: float = 0.3
    gamma: float = 1.0

    def run(self, view: View, question: WhoWasIn, rng: Generator) -> Scores:
        """Return scores (n, 1) in (0, 1); raises AccessDenied, BudgetSpent or InputError."""
        public, train = view.side.public, view.side.train
        if public is None or train is None:
            missing = "public records" if public is None else "a way to train reference models"
            raise AccessDenied(f'This attack needs {missing}; grant knows = ["public", "recipe"] and give both.')
        if view.classes:
            public = public.take(public.y < len(view.classes))  # the others are classes that the target does not know
        if self.references < 2:
            raise InputError(
                f"references is {self.references}; use at least 2, so that each public record is out for one."
            )
        seen = halves(public, self.references, len(view.classes), rng)
        z_rows, x_rows = self._share(view, len(question.records), len(public), rng)
        x, z = question.records.take(x_rows), public.take(z_rows)
        both = concat([x, z])
        answered = view.scores(both.x) if view.classes else view.labels(both.x)
        threat = replace(view.threat, queries=None)
        doors = [train(public.take(mask), int(rng.integers(2**31))).view(threat) for mask in seen]
        answers = [answered, *(door.scores(both.x) if view.classes else door.labels(both.x) for door in doors)]
        out = np.hstack([np.ones((len(seen), len(x)), bool), ~seen[:, z_rows]])
        if view.classes:
            sure = np.stack([confidence(answer, both.y) for answer in answers])
        else:
            errors = np.stack([(both.y - answer) ** 2 for answer in answers])
            typical = errors[1:, len(x) :][out[:, len(x) :]].mean()
            # References that never err leave rounding error as the only scale.
            sure = np.exp(-errors / (2 * max(float(typical), np.finfo(float).eps * (float(np.mean(z.y**2)) or 1.0))))
        ratios = log_ratios(sure[0], sure[1:], out, self.offline_a)
        return beliefs(len(question.records), x_rows, share_beaten(ratios[: len(x)], ratios[len(x) :], self.gamma))

    def _share(self, view: View, records: int, public: int, rng: Generator) -> tuple[Array, Array]:
        """Return which public records (z,) and which records in question (m,) the budget pays for."""
        if view.left() < 2:
            raise BudgetSpent(f"This attack needs at least 2 queries and {view.left():.0f} are left; nothing was sent.")
        z = int(min(self.population, public, max(view.left() - records, view.left() // 4, 1)))
        return np.sort(rng.permutation(public)[:z]), affordable(view, records, rng, besides=z)


def halves(public: Records, references: int, classes: int, rng: Generator) -> Array:
    """Return which records each reference is trained on (references, n) bool: complementary pairs of halves.

    Each half holds half of every class.

    Raises:
        InputError: a class has fewer than two public records, so that a half would lack it.
    """
    groups = np.asarray(public.y, dtype=int) if classes else np.zeros(len(public), dtype=int)
    counts = np.bincount(groups, minlength=max(classes, 1))
    if counts.min() < 2:
        raise InputError(
            f"Class number {int(counts.argmin())} has {int(counts.min())} public record(s); each reference model "
            "learns from half of them, so give at least two of every class."
        )
    seen = np.zeros((references, len(public)), dtype=bool)
    for pair in range(0, references, 2):
        order = rng.permutation(len(public))
        order = order[np.argsort(groups[order], kind="stable")]
        seen[pair, order[::2]] = True
        if pair + 1 < references:
            seen[pair + 1] = ~seen[pair]
    return seen


def log_ratios(target: Array, references: Array, out: Array, offline_a: float) -> Array:
    """Return log(p_target / p) (n,) with p = ((1 + a) * mean of p_out + 1 - a) / 2 (Zarifzadeh et al. 2024).

    Args:
        target: (n,) the target's confidence in the true label.
        references: (r, n) the same of each reference.
        out: (r, n) whether that reference never saw the record; at least one a record.
        offline_a: a in [0, 1].
    """
    mean_out = np.where(out, references, 0.0).sum(axis=0) / out.sum(axis=0)
    usual = ((1 + offline_a) * mean_out + 1 - offline_a) / 2
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
