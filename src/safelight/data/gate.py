"""The blind gate: can members be told from nonmembers without the model? Then a given split proves nothing.

A classifier that sees inputs and labels, never the model, guesses who is a member. If it guesses better than chance,
the two groups differ by themselves, and a membership attack would be praised for seeing that (Das et al. 2024, "Blind
baselines beat membership inference attacks for foundation models", arXiv:2406.16201).

A gate that passes is evidence, not proof: it prints the smallest shift that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import norm

from safelight.data.copies import copies
from safelight.data.features import blind_features
from safelight.data.records import Records, concat
from safelight.data.redraw import log_ways, shuffled

LEVEL = 0.01
"""A split is refused when p is below this."""

LEAST = 20
"""Fewer members or nonmembers than this cannot be told apart at `LEVEL` by any useful classifier."""


@dataclass(frozen=True)
class GateResult:
    """What the gate saw.

    Attributes:
        auc: of the blind classifier on rows it was not fitted to, in [0, 1]; None when the gate could not run.
        p: share of random splits of the same kind that look as different; one-sided.
        detectable: the AUC that the gate would have refused with 80 % probability.
        passed: False when the split is refused; None when the gate could not run.
        reason: one sentence.
    """

    auc: float | None
    p: float | None
    detectable: float | None
    passed: bool | None
    reason: str


def blind_gate(
    members: Records,
    nonmembers: Records | None,
    rng: Generator,
    *,
    permutations: int = 999,
    folds: int = 5,
    most: int = 10_000,
) -> GateResult:
    """Ask whether members can be told from nonmembers without the model.

    Ridge regression on random features predicts membership; the records of one person, and copies of one record, are
    never on both sides of a fold. The AUC compares members and nonmembers within each fold. It is compared with the
    AUCs of random splits of the same kind (`shuffled`; within classes where no person is known and every class holds
    its exact share of members). Ridge is linear in the membership it is fitted to, so all
    these splits share one matrix product.

    `detectable` is the 99 % point of the AUCs of random splits plus 0.84 of their standard deviations: by a normal
    approximation, a true AUC as large is refused in 80 of 100 splits.

    Args:
        permutations: random splits to compare with; with 999 the smallest p is .001.
        folds: parts that the rows are dealt into.
        most: rows used at most; a random choice of a larger split.
    """
    if nonmembers is None or len(nonmembers) == 0:
        return _not_run("there are no nonmembers")
    if min(len(members), len(nonmembers)) < LEAST:
        return _not_run(
            f"there are {len(members)} members and {len(nonmembers)} nonmembers, and the gate needs {LEAST} of each"
        )
    # Dealt out at random, so that equal scores never rank one side first.
    order = rng.permutation(len(members) + len(nonmembers))[:most]
    records = concat([members, nonmembers]).take(order)
    member = order < len(members)
    person = None if records.person is None else _numbered(records.person)
    # Rows drawn within classes stay within them; then no random split has another label mix, and none is compared.
    unit = _numbered(records.y) if person is None and _drawn_within_class(member, records.y) else person
    if log_ways(member, unit) <= np.log(1 / LEVEL):
        return _not_run("there are too few people to deal anew into members and nonmembers")
    fold = deal_folds(copies(records, person), folds, rng)
    if len(np.unique(fold)) < 2:
        return _not_run("all records belong to one person or are copies of one record")
    membership = np.column_stack([member, shuffled(member, unit, permutations, rng)])
    aucs = fold_aucs(out_of_fold(blind_features(records, rng), membership, fold), membership, fold)
    auc, null = float(aucs[0]), np.nan_to_num(aucs[1:], nan=0.5)
    highest = np.quantile(null, 1 - LEVEL)
    if np.isnan(auc) or highest > 0.99:
        return _not_run("there are too few people to see even a large difference")
    p = float((1 + np.count_nonzero(null >= auc - 1e-12)) / (1 + permutations))
    detectable = float(min(1.0, highest + norm.ppf(0.8) * null.std()))
    passed = p >= LEVEL
    seen = f"a classifier without the model tells members from nonmembers with an AUC of {auc:.3f} (p = {p:.3f})"
    reason = (
        f"No difference found: {seen}; an AUC of {detectable:.3f} would have been seen in 80 of 100 cases."
        if passed
        else f"Members and nonmembers differ by themselves: {seen}; draw both at random from one pool."
    )
    return GateResult(auc, p, detectable, passed, reason)


def deal_folds(group: Array, folds: int, rng: Generator) -> Array:
    """Return the fold (n,) of each row; groups (n,), numbered from 0, stay whole; folds are as even as can be."""
    sizes = np.bincount(group)
    # With few groups fewer folds, so that most hold both members and nonmembers.
    load = np.zeros(int(np.clip(len(sizes) // 4, min(2, len(sizes)), folds)), dtype=int)
    fold_of = np.zeros(len(sizes), dtype=int)
    people = rng.permutation(len(sizes))
    for one in people[np.argsort(-sizes[people], kind="stable")]:
        fold_of[one] = load.argmin()
        load[fold_of[one]] += sizes[one]
    return fold_of[group]


def out_of_fold(features: Array, membership: Array, fold: Array, ridge: float = 0.3) -> Array:
    """Return scores (splits, n): each row scored by a ridge regression fitted to the rows of the other folds.

    Args:
        features: (n, d) standardised.
        membership: (n, splits) bool.
        ridge: penalty on squared weights, as a share of the number of rows fitted to.
    """
    parts = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    target = membership.astype(float)
    sums = np.array([features[rows].sum(axis=0) for rows in parts])
    shares = np.array([target[rows].sum(axis=0) for rows in parts])
    grams = np.array([features[rows].T @ features[rows] for rows in parts])
    crosses = np.array([features[rows].T @ target[rows] for rows in parts])
    scores = np.empty((membership.shape[1], len(fold)))
    for number, rows in enumerate(parts):
        count = len(fold) - len(rows)
        mean = (sums.sum(axis=0) - sums[number]) / count
        share = (shares.sum(axis=0) - shares[number]) / count
        gram = grams.sum(axis=0) - grams[number] - count * np.outer(mean, mean)
        cross = crosses.sum(axis=0) - crosses[number] - count * np.outer(mean, share)
        gram[np.diag_indices_from(gram)] += ridge * count
        scores[:, rows] = (features[rows] @ np.linalg.solve(gram, cross)).T
    return scores


def fold_aucs(scores: Array, membership: Array, fold: Array) -> Array:
    """Return one AUC a split: over all pairs of a member and a nonmember of the same fold.

    Folds are not mixed, because the scores of two folds come from two fits and differ by a constant.

    Args:
        scores: (splits, n).
        membership: (n, splits) bool.
    """
    won, pairs = np.zeros(len(scores)), np.zeros(len(scores))
    for number in np.unique(fold):
        rows = np.flatnonzero(fold == number)
        order = np.argsort(scores[:, rows], axis=1)
        ranked = np.take_along_axis(membership[rows].T, order, axis=1)  # (splits, rows), rising scores
        inside = ranked.sum(axis=1)
        ranks = ranked @ np.arange(1.0, len(rows) + 1)
        won += ranks - inside * (inside + 1) / 2
        pairs += inside * (len(rows) - inside)
    return np.divide(won, pairs, out=np.full(len(scores), np.nan), where=pairs > 0)


def _drawn_within_class(member: Array, y: Array) -> bool:
    """Whether every class holds its share of members to within one record."""
    if np.asarray(y).dtype.kind == "f":
        return False
    label = _numbered(y)
    expected = np.bincount(label) * member.mean()
    return bool((np.abs(np.bincount(label, weights=member) - expected) <= 1).all())


def _numbered(names: Array) -> Array:
    return np.unique(np.asarray(names).astype(str), return_inverse=True)[1].reshape(-1)


def _not_run(why: str) -> GateResult:
    return GateResult(None, None, None, None, f"The blind gate could not run: {why}.")
