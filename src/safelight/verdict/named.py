"""From links of named people with released rows to what the claim measured."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.evidence import Links
from safelight.measures.base import Measurement
from safelight.measures.binomial import clopper_pearson
from safelight.measures.named import links_p, precision_at
from safelight.measures.power import power
from safelight.measures.roc import tpr_at_fpr
from safelight.verdict.levels import LOOK_FOR_FPR, LOOK_FOR_TPR, POWER
from safelight.verdict.outcome import Outcome

COVERAGE = 0.25


def of_names(
    links: Links, owner: Array, person: Array, member: Array, equality: Array, shuffled: float | None, level: float,
    rng: Generator,
) -> Outcome:  # fmt: skip
    """Judge links: are more people linked with their own row than if who is who were dealt out at random?

    Args:
        links: of n people, asked in a random order.
        owner: (m,) whose row each released one is; person: (n,) who was asked about.
        member: (n,) whether the person's row is in the release.
        equality: (n,) chance of a right link by drawing among equal rows; see `equality_credit`.
        shuffled: share of right links in the same release with every column shuffled, or None.
        level: of this claim.

    p is that of the right links of members, by dealing anew who is who. Numbers beside it: right links with a score
    that at most 1 % of the people who are not in the release reach, and the share of right ones among the surest
    quarter of all links.
    """
    right = member & (owner[links.row] == person)
    count, people = int(right.sum()), int(member.sum())
    low, high = clopper_pearson(count, people, 1 - level)
    chance = 1 / len(owner)
    measured = [Measurement("named", count / people, low, high, control=chance if shuffled is None else shuffled)]
    measured.append(Measurement("named_by_equality", float(equality[member].mean())))
    strangers = links.score[~member]
    if len(strangers):
        found = np.where(right, links.score, min(links.score.min(), strangers.min()) - 1)[member]
        rate = tpr_at_fpr(found, strangers, LOOK_FOR_FPR, rng, confidence=1 - level).measurement
        measured.append(Measurement("named_at_false_0.01", rate.value, rate.low, rate.high, rate.floor))
    sure, claimed = precision_at(links.score, right, COVERAGE)
    measured.append(Measurement("named_surest", sure / claimed, *clopper_pearson(sure, claimed, 1 - level)))
    p = links_p(owner[links.row][member], person[member], rng, max(9999, math.ceil(10 / level)))
    powered = power(people, LOOK_FOR_TPR, max(2, len(owner)), level) >= POWER
    settle = "" if powered else (
        f"{people} people in a release of {len(owner)} rows cannot show that 5 % are linked; more would"
    )  # fmt: skip
    return Outcome(p, tuple(measured), low - chance, powered, settle)
