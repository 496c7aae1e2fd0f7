"""From the answers of a copy to what a claim that the model can be copied measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy import ndarray as Array

from safelight.measures.base import Measurement
from safelight.measures.fidelity import closing_power, fidelity, more_alike_p, score_distance
from safelight.verdict.levels import POWER, Policy
from safelight.verdict.outcome import Outcome


def of_fidelity(
    copy: Array, unasked: Array, labels: Array, scores: Array | None, curve: Mapping[int, Array], queries: int,
    level: float, policy: Policy,
) -> Outcome:  # fmt: skip
    """Judge a copy: does it answer as the model does more often than a copy that was made without asking?

    Args:
        copy: (n, classes) scores of the copy; unasked: (n, classes) those of the copy that asked nothing.
        labels: (n,) what the model answers; scores: (n, classes) its scores, where the attacker was shown any.
        curve: the copy's scores after fewer queries.
        queries: that were sent for the copy.
        level: of this claim.

    The control is the better of the copy that asked nothing and the one label that the model gives most often; better
    is what agrees with the model on more records. p is that of McNemar's exact test against it.
    """
    same, other = copy.argmax(axis=1) == labels, unasked.argmax(axis=1) == labels
    constant = labels == np.bincount(labels).argmax()
    if constant.sum() > other.sum():
        other = constant
    found = replace(fidelity(same, 1 - level), control=float(other.mean()))
    measured = [found, Measurement("queries", queries)]
    if scores is not None:
        distances = (score_distance(each, scores) for each in (copy, unasked))
        measured.append(Measurement("score_distance", next(distances), control=next(distances)))
    for sent, earlier in sorted(curve.items()):
        if sent < queries:
            at = fidelity(earlier.argmax(axis=1) == labels, 1 - level)
            measured.append(replace(at, name=f"fidelity_at_{sent}", control=found.control))
    closed = 2 * policy.look_for - 1
    powered = closing_power(int(other.sum()), len(labels), closed, level) >= POWER
    settle = "" if powered else (
        f"without asking, a copy already agrees on {other.mean():.0%} of {len(labels)} records, too many to see that "
        f"{closed:.0%} of the rest is closed; more nonmembers would settle it"
    )  # fmt: skip
    return Outcome(more_alike_p(same, other), tuple(measured), (found.low or 0.0) - other.mean(), powered, settle)
