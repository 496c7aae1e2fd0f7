"""The order of a record's values: the site's where a question names them, never the client's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray as Array

Names = tuple[str, ...]
KNOWN = 16
"""Orders that are remembered."""
LONGEST = 2**17
"""Bytes of one that is remembered, about; a longer one is worked out each time."""


@dataclass(frozen=True)
class Columns:
    """Brings the values of records into one order. It changes nothing where there are no names on either side.

    Attributes:
        names: of the values (d,), in the order that the site was calibrated with; () where it has none.
    """

    names: Names = ()
    _known: dict[Names, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def read(self, x: Array, names: Names) -> tuple[Array, bool]:
        """Return records in this order, and whether they hold a value that does not belong there.

        A value that is missing is NaN, or None beside words. A value of another name, and all but the last of one name,
        are left out. Where no name is known, names say nothing, and the place is the meaning.

        Args:
            x: records (n, k), float64, or object where some are words.
            names: of their values (k,), or () where the place is the meaning.
        """
        if not names or names == self.names or not self.names or x.ndim != 2 or x.shape[1] != len(names):
            return x, False
        places = self.places(names)
        if places is not None:
            return x.take(places, axis=1), False
        places = self._where(names)
        missing = places < 0
        if missing.all():
            return x, False
        found = x.take(places, axis=1)
        found[:, missing] = None if x.dtype == object else np.nan
        return found, len(places) - int(missing.sum()) < len(names)

    def places(self, names: Names) -> Array | None:
        """Return where each value of this order (d,) stands in another order of the very same names, else None."""
        if len(names) != len(self.names):
            return None
        places = self._known.get(names)
        if places is None:
            places = self._where(names)
            if (places < 0).any():
                return None
            if 50 * len(names) + sum(map(len, names)) <= LONGEST:
                if len(self._known) >= KNOWN:
                    self._known.clear()
                self._known[names] = places
        return places

    def _where(self, names: Names) -> Array:
        where = {name: place for place, name in enumerate(names)}
        return np.array([where.get(name, -1) for name in self.names])


def by_name(x: Array, names: Names) -> Array:
    """Return records (n, k) in the order of their names, which is the same for all who ask."""
    if not names or x.ndim != 2 or x.shape[1] != len(names):
        return x
    return x.take(sorted(range(len(names)), key=names.__getitem__), axis=1)


def named(names: Sequence[str], parts: Sequence[Array]) -> Names:
    """Return a name for each value of a table whose parts (n, ...) have names.

    Of one part alone the place is the meaning, and the answer is (): what an only tensor is called says nothing.
    """
    if len(parts) < 2:
        return ()
    found: list[str] = []
    for name, part in zip(names, parts):
        width = part.size // len(part)
        found += [name] if width == 1 else [f"{name}[{place}]" for place in range(width)]
    return tuple(found)


def usual(clients: Iterable[Iterable[Names]], widths: Iterable[int] = ()) -> Names:
    """Return the order that most clients name their values in, or () where none of them does.

    First it chooses the names, then their order; each client counts once, with its first call, and of orders that are
    as usual the first in the alphabet is taken, so that nobody's place in the recording decides.

    Args:
        clients: of each client the names of its calls, in turn; () of a call without names.
        widths: of calls without names; where there are any, the order has to have one of these lengths.
    """
    fits = set(widths)
    votes: Counter[Names] = Counter()
    for calls in clients:
        first = next((names for names in calls if names and (not fits or len(names) in fits)), None)
        if first is not None:
            votes[first] += 1
    if not votes:
        return ()
    alike: Counter[Names] = Counter()
    for names, count in votes.items():
        alike[tuple(sorted(names))] += count
    chosen = _first(alike)
    return _first(Counter({names: count for names, count in votes.items() if tuple(sorted(names)) == chosen}))


def _first(votes: Counter[Names]) -> Names:
    return min(votes, key=lambda names: (-votes[names], names))
