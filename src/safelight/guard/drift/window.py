"""The last records of every client, as sketches: no client has more than its share of the places."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray as Array

from safelight.guard.drift.sketch import FEATURES, Sketch, counted_bins

GONE = 255  # bin of a row that one side has no sketch of


@dataclass
class Window:
    """Places for sketches. A client that has its share replaces its own oldest; else the oldest of all goes.

    Attributes:
        sketches: of inputs, and of outputs where there is a reference of those.
        places: how many records are held.
        cap: places that one client can have.
    """

    sketches: tuple[Sketch, ...]
    places: int
    cap: int
    _bins: list[Array] = field(init=False, repr=False)
    _features: list[Array] = field(init=False, repr=False)
    _owner: Array = field(init=False, repr=False)
    _numbers: dict[str, int] = field(default_factory=dict, init=False, repr=False)
    _of: dict[int, deque[int]] = field(default_factory=dict, init=False, repr=False)
    _order: OrderedDict[int, None] = field(default_factory=OrderedDict, init=False, repr=False)
    _next: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the places."""
        self._bins = [np.full((self.places, len(sketch.counted)), GONE, np.uint8) for sketch in self.sketches]
        self._features = [np.zeros((self.places, 2 * FEATURES), np.float32) for _ in self.sketches]
        self._owner = np.full(self.places, -1)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def clients(self) -> int:
        """How many clients have a record here."""
        return len(self._of)

    def take(self, client: str, looks: list[tuple[Array, Array] | None], count: int) -> None:
        """Keep the sketches (bins, features) of a client's records, one pair a side, None where it has none."""
        number = self._numbers.get(client)
        if number is None:
            number = self._numbers[client] = self._next
            self._next += 1
        mine = self._of.setdefault(number, deque())
        for row in range(max(0, count - self.cap), count):
            place = self._place(mine)
            for bins, features, look in zip(self._bins, self._features, looks):
                if look is None:
                    bins[place] = GONE
                else:
                    bins[place], features[place] = look[0][row], look[1][row]
            self._owner[place] = number
            mine.append(place)
            self._order[place] = None
            self._order.move_to_end(place)

    def totals(self, side: int, client: int | None = None) -> tuple[Array, Array, int]:
        """Return counts (c, 21), the sum of the features (128,) and the records, of all or of one client's number."""
        places = list(self._order) if client is None else list(self._of[client])
        bins = self._bins[side][places]
        held = np.flatnonzero(bins[:, 0] != GONE)
        features = self._features[side][places]
        if len(held) < len(places):
            bins, features = bins[held], features[held]
        return counted_bins(bins), features.sum(axis=0, dtype=np.float64), len(held)

    def largest(self, share: float) -> list[int]:
        """Return the numbers of the clients that have at least a share of the records."""
        return [number for number, mine in self._of.items() if len(mine) >= share * len(self)]

    def _place(self, mine: deque[int]) -> int:
        if len(mine) >= self.cap:
            return mine.popleft()
        if len(self._order) < self.places:
            return len(self._order)
        place = next(iter(self._order))
        number = int(self._owner[place])
        others = self._of[number]
        others.popleft()
        if not others and others is not mine:
            del self._of[number]
            self._numbers = {name: each for name, each in self._numbers.items() if each != number}
        return place
