"""Links of people with released rows: how many are right, against a release that says nothing of who is who."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.errors import InputError

_CELLS = 2_000_000


def links_p(linked: Array, person: Array, rng: Generator, draws: int = 9999) -> float:
    """Return the one-sided p of the number of right links, when who is who is dealt out at random.

    Args:
        linked: (n,) whose row each person was linked with.
        person: (n,) who each person is; all are in the release.
        rng: the source of the shuffles.
        draws: number of shuffles, at least 1.

    Returns:
        p in (0, 1], at least 1 / (draws + 1).

    Raises:
        InputError: there is no person, or the shapes differ.
    """
    linked, person = np.asarray(linked), np.asarray(person)
    if linked.shape != person.shape or linked.ndim != 1 or not len(person):
        raise InputError(f"Each person needs one link: {person.shape} people and {linked.shape} links.")
    known, number = np.unique(person, return_inverse=True)
    target = pd.Index(known).get_indexer(linked)
    observed = np.count_nonzero(target == number)
    reached, turn = 0, max(1, _CELLS // len(number))
    for start in range(0, draws, turn):
        dealt = rng.permuted(np.tile(number, (min(turn, draws - start), 1)), axis=1)
        reached += int(np.count_nonzero((dealt == target).sum(axis=1) >= observed))
    return (1 + reached) / (1 + draws)


def equality_credit(combination: Array, person: Array, released: Array, owner: Array) -> Array:
    """Return each person's chance (n,) to be linked right by drawing among the released rows that are equal to theirs.

    That is one over the size of the group in a release that holds the person as they are; 0 where no row is equal. It
    is a leak, not luck: a random row is right far less often.

    Args:
        combination: (n,) number of each person's combination of values; person: (n,) who they are.
        released: (m,) number of each row's combination; owner: (m,) whose row it is.
    """
    rows = pd.DataFrame({"combination": released, "owner": owner})
    group, own = rows.value_counts("combination"), rows.value_counts(["combination", "owner"])
    mine = own.reindex(pd.MultiIndex.from_arrays([combination, person])).fillna(0).to_numpy(dtype=float)
    size = group.reindex(combination).fillna(1).to_numpy(dtype=float)
    return np.asarray(mine / size)


def precision_at(score: Array, right: Array, share: float) -> tuple[int, int]:
    """Return how many of the surest `share` of all links are right, and how many links those are.

    Links that are as sure as the last of them count too.

    Args:
        score: (n,) higher is surer; right: (n,) bool.
        share: coverage, in (0, 1].

    Raises:
        InputError: there is no link, or `share` is out of range.
    """
    if not len(score) or not 0 < share <= 1:
        raise InputError(f"{len(score)} links at a coverage of {share} cannot be counted; use a share in (0, 1].")
    least = np.sort(score)[::-1][max(0, round(share * len(score)) - 1)]
    claimed = score >= least
    return int(right[claimed].sum()), int(claimed.sum())
