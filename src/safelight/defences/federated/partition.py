"""Who holds which records: one client a person, or parts drawn at random."""

from __future__ import annotations

import numpy as np

from safelight.data.records import Records
from safelight.errors import InputError


def by_person(records: Records) -> list[Records]:
    """Return the records of each person, in the order of their names; raises InputError where nobody is named."""
    if records.person is None:
        raise InputError("The records do not say who they are about, so they make no clients; give person=, or parts.")
    return [records.take(records.person == name) for name in np.unique(records.person)]


def in_parts(records: Records, clients: int, rng: np.random.Generator) -> list[Records]:
    """Return the records in `clients` random parts, equal but for one; raises InputError with fewer records."""
    if not 1 <= clients <= len(records):
        raise InputError(f"{len(records)} records cannot be shared out to {clients} clients; each needs at least one.")
    return [records.take(np.sort(rows)) for rows in np.array_split(rng.permutation(len(records)), clients)]
