"""Random splits of the same kind as a given one: what could have been members just as well."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.special import gammaln


def shuffled(member: Array, person: Array | None, times: int, rng: Generator) -> Array:
    """Return memberships (n, times) of random splits of the same kind as `member` (n,) bool; person (n,) from 0.

    - No person known: any rows may be members.
    - Every person on one side: whole persons change sides, as many as before.
    - Some persons on both sides: their rows change sides within the person, and whole persons on one side change
      sides with persons of as many rows, since a person with few rows is more often on one side by chance.
    """
    if person is None:
        return rng.permuted(np.tile(member[:, None], (1, times)), axis=0)
    rows, inside, groups = _sides(member, person)
    result = np.empty((len(member), times), dtype=bool)
    split = (inside > 0) & (inside < rows)
    for who in np.flatnonzero(split):
        mine = np.flatnonzero(person == who)
        result[mine] = rng.permuted(np.tile(member[mine][:, None], (1, times)), axis=0)
    whole = np.empty((len(rows), times), dtype=bool)
    for people in groups:
        whole[people] = rng.permuted(np.tile((inside[people] > 0)[:, None], (1, times)), axis=0)
    alone = ~split[person]
    result[alone] = whole[person[alone]]
    return result


def log_ways(member: Array, person: Array | None) -> float:
    """Return the logarithm of the number of splits that `shuffled` draws from."""

    def choose(total: Array, chosen: Array) -> float:
        return float(np.sum(gammaln(total + 1.0) - gammaln(chosen + 1.0) - gammaln(total - chosen + 1.0)))

    if person is None:
        return choose(np.array([len(member)]), np.array([member.sum()]))
    rows, inside, groups = _sides(member, person)
    whole = sum(choose(np.array([len(people)]), np.array([(inside[people] > 0).sum()])) for people in groups)
    return choose(rows, inside) + whole


def _sides(member: Array, person: Array) -> tuple[Array, Array, list[Array]]:
    """Return rows and member rows of each person, and the groups of one-sided persons that may change places."""
    rows = np.bincount(person)
    inside = np.bincount(person, weights=member).astype(int)
    one_sided = np.flatnonzero((inside == 0) | (inside == rows))
    if len(one_sided) == len(rows):
        return rows, inside, [one_sided]
    return rows, inside, [one_sided[rows[one_sided] == size] for size in np.unique(rows[one_sided])]
