"""Draw members and nonmembers from one pool, at random."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.random import Generator

from safelight.data.records import Records
from safelight.errors import InputError


def random_split(
    records: Records, share: float, rng: Generator, *, within_class: bool = True
) -> tuple[Records, Records]:
    """Return (members, nonmembers), drawn over records; both keep the order of `records`.

    Args:
        share: part of the records that become members, above 0 and below 1.
        within_class: draw that share of each class (7 of 10 photos of every person for .7), at least one member each;
            otherwise, and for real-valued answers, draw it from all records together.

    Raises:
        InputError: `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise InputError(f"The share of members is {share}; choose a number above 0 and below 1.")
    member = np.zeros(len(records), dtype=bool)
    of_classes = within_class and np.asarray(records.y).dtype.kind != "f"
    groups = [np.flatnonzero(records.y == label) for label in np.unique(records.y)] if of_classes else None
    for rows in groups or [np.arange(len(records))]:
        count = max(1, int(share * len(rows) + 0.5))
        member[rng.permutation(rows)[:count]] = True
    return records.take(member), records.take(~member)


def disjoint_people(records: Records, rng: Generator, shares: Sequence[float] = (0.5, 0.5)) -> tuple[Records, ...]:
    """Return one group a share, with all records of a person in one group; people are drawn at random.

    Args:
        shares: parts of all people, each above 0, with a sum of at most 1.

    Raises:
        InputError: the records name no person, `shares` cannot be dealt out, or a group stays without people.
    """
    if records.person is None:
        raise InputError("These records name no person; give each record the id of its person first.")
    if not shares or min(shares) <= 0 or sum(shares) > 1 + 1e-9:
        raise InputError(f"The shares of people are {tuple(shares)}; choose numbers above 0 with a sum of at most 1.")
    people = rng.permutation(np.unique(records.person))
    ends = [int(end + 0.5) for end in np.cumsum([0.0, *shares]) * len(people)]
    groups = [people[start:end] for start, end in pairwise(ends)]
    if any(len(group) == 0 for group in groups):
        raise InputError(f"{len(people)} people are too few for shares of {tuple(shares)}; ask for fewer groups.")
    return tuple(records.take(np.isin(records.person, group)) for group in groups)
