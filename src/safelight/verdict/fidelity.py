"""From the answers of a copy to what a claim that the model can be copied measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy import ndarray as Array

from safelight.measures.base import Measurement
from safelight.measures.fidelity import closing_power, fidelity, more_alike_p, score_distances
from safelight.verdict.levels import POWER, Policy
from safelight.verdict.outcome import Outcome

NEAR = 0.01
"""Scores within this total variation distance count as the same."""


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
    is what agrees with the model on more records. p is that of McNemar's exact test against it. Where scores are shown,
    records are compared in the same way by whether their scores are within `NEAR` (the one answer is the mean of the
    model's scores), and p is twice the smaller one.
    """
    tests = 1 if scores is None else 2
    confidence = 1 - level / tests
    usual = np.bincount(labels).argmax()
    same, other = copy.argmax(axis=1) == labels, _better(unasked.argmax(axis=1) == labels, labels == usual)
    found = replace(fidelity(same, confidence), control=float(other.mean()))
    measured, ps = [found, Measurement("queries", queries)], [more_alike_p(same, other)]
    bound = (found.low or 0.0) - other.mean()
    if scores is not None:
        away, alone = score_distances(copy, scores), score_distances(unasked, scores)
        near = away <= NEAR
        others = _better(alone <= NEAR, score_distances(scores.mean(axis=0), scores) <= NEAR)
        equal = replace(fidelity(near, confidence, "same_scores"), control=float(others.mean()))
        measured += [equal, Measurement("score_distance", float(away.mean()), control=float(alone.mean()))]
        ps.append(more_alike_p(near, others))
        bound = max(bound, (equal.low or 0.0) - others.mean())
    for sent, earlier in sorted(curve.items()):
        if sent < queries:
            at = fidelity(earlier.argmax(axis=1) == labels, confidence, f"fidelity_at_{sent}")
            measured.append(replace(at, control=found.control))
    closed = 2 * policy.look_for - 1
    powered = closing_power(int(other.sum()), len(labels), closed, level / tests) >= POWER
    settle = "" if powered else (
        f"without asking, a copy already agrees on {other.mean():.0%} of {len(labels)} records, too many to see that "
        f"{closed:.0%} of the rest is closed; more nonmembers would settle it"
    )  # fmt: skip
    return Outcome(min(1.0, tests * min(ps)), tuple(measured), bound, powered, settle)


def _better(one: Array, other: Array) -> Array:
    """Return whichever of two (n,) bool holds for more records; the first of equal ones."""
    return other if other.sum() > one.sum() else one
