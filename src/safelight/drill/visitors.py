"""The harmless clients that judge a watch: what people, cameras and programs do with a model all day.

Nothing here is shared with the crowds that calibrate (`safelight.drill.crowds`): neither when clients come and how much
they ask, nor how their records change. Five kinds are what most clients are: `iid` looks up whatever comes, `one class`
is a place that sees one class or one person for the most part, `retry` has a bad line, `burst` is a camera or a
monitor, and `noisy` a poor device. Three more are programs and habits that look like attacks: `what if` changes a form
and sends it again, `batch` is a job of the night, and `monitor` asks the same few records all day to see whether the
model still answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.drill.clock import DAY, START
from safelight.drill.devices import again, filmed, seen_by
from safelight.drill.traffic import Event
from safelight.drill.values import Edit, Values

COMMON = ("iid", "one class", "retry", "burst", "noisy")
HABITS = ("what if", "batch", "monitor")
BUSY = (1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 17, 12, 9, 13, 16, 15, 12, 8, 6, 5, 4, 3, 2, 1)
"""How much comes in each hour of a day, local time: a morning, a lunch, an afternoon, and a few at night."""


@dataclass
class _Client:
    """One client while its day is made up: who it is, what it has, and what it has sent."""

    who: tuple[str, str, str]
    pool: Array
    rng: Generator
    events: list[Event] = field(default_factory=list)

    def send(
        self, at: float, rows: Array, seed: int, frames: Array | None = None, edits: tuple[Edit, ...] = ()
    ) -> None:
        still = np.zeros(len(rows), int) if frames is None else frames
        self.events.append(Event(*self.who, at, rows, still, seed, edits))

    def some(self, count: int) -> Array:
        """Return records of its own (count,): cases come back, the newest most often."""
        return self.rng.choice(self.pool, count)

    def seed(self) -> int:
        return int(self.rng.integers(2**31))


@dataclass(frozen=True)
class Visitors:
    """All sorts of clients, from the first case in the morning to the jobs of the night.

    Attributes:
        clients: of the five common kinds together (>= 0).
        habits: beside them, of the three kinds that look like attacks (>= 0).
        days: that each is there (>= 1).
        least: records that the quietest client asks about a day (>= 1).
        most: records that a person asks about a day, or a camera sees, at the most.
        tail: exponent of the amounts in between: the share of clients with more than q records falls as q^-tail.
        site: clients of one site (a cohort) on average; sizes are geometric.
    """

    clients: int = 2000
    habits: int = 0
    days: int = 1
    least: int = 8
    most: int = 250
    tail: float = 1.2
    site: float = 15.0

    def events(self, records: Records, rng: Generator) -> list[Event]:
        made: list[Event] = []
        sites = np.cumsum(rng.random(self.clients + self.habits) < 1 / self.site)
        for number, site in enumerate(sites.tolist()):
            kinds = COMMON if number < self.clients else HABITS
            kind = kinds[int(rng.integers(len(kinds)))]
            client = _Client((f"visitor-{number}", f"place-{site}", kind), _pool(records, kind, rng), rng)
            asks: Callable[[_Client, float, Records], None] = getattr(self, "_" + kind.replace(" ", "_"))
            zone = float(rng.normal(0, 1))  # hours that its day begins later, or earlier
            for day in range(self.days):
                asks(client, START + day * DAY + 3600 * zone, records)
            made += client.events
        return sorted(made, key=lambda event: (event.at, event.client))

    def changed(self, event: Event, values: Array, about: Values) -> Array:
        """Film a burst, see a noisy one through its device, and cut a picture anew that is sent once more."""
        if event.kind == "burst":
            return filmed(values, int(event.frames[0]), about, event.seed)
        if event.kind == "noisy":
            return seen_by(values, event.frames, about, event.seed)
        if event.kind == "what if" and about.pictures and event.frames[0]:
            return again(values, about, event.seed)
        return values

    def _amount(self, rng: Generator) -> int:
        """Return the records of a client's day: Zipf's law between the least and the most."""
        return int(min(self.most, self.least * (1 - rng.random()) ** (-1 / self.tail)))

    def _sittings(self, client: _Client, morning: float) -> list[tuple[float, int]]:
        """Return the questions of a day, (time, records): sittings of a few cases each, with time to think between."""
        rng, left, found = client.rng, self._amount(client.rng), []
        while left > 0:
            at = morning + _hour(rng)
            for _ in range(min(left, 1 + int(rng.geometric(1 / 6)))):
                count = min(left, 1 if rng.random() < 0.8 else int(rng.integers(2, 9)))
                found.append((at, count))
                left -= count
                at += float(rng.lognormal(np.log(50), 0.9))
                if left <= 0:
                    break
        return found

    def _iid(self, client: _Client, morning: float, records: Records) -> None:
        for at, count in self._sittings(client, morning):
            client.send(at, client.some(count), 0)

    _one_class = _iid

    def _noisy(self, client: _Client, morning: float, records: Records) -> None:
        device, taken = client.seed(), 0
        for at, count in self._sittings(client, morning):
            client.send(at, client.some(count), device, taken + np.arange(1, count + 1))
            taken += count

    def _retry(self, client: _Client, morning: float, records: Records) -> None:
        """Send again what gets no answer: waits double, with jitter, and some keys are pressed twice."""
        rng = client.rng
        lost = float(rng.beta(2, 6))
        for at, count in self._sittings(client, morning):
            rows, wait = client.some(count), 1.0
            client.send(at, rows, 0)
            for _ in range(5):
                if rng.random() >= lost:
                    break
                at += wait * float(rng.uniform(0.5, 1.5))
                wait *= 2
                client.send(at, rows, 0)
            if rng.random() < 0.05:
                client.send(at + float(rng.uniform(0.1, 0.6)), rows, 0)

    def _burst(self, client: _Client, morning: float, records: Records) -> None:
        """Send what moves before a camera: some seconds of frames of one thing, now and then."""
        rng, left = client.rng, self._amount(client.rng)
        while left > 0:
            at, rate, row, seed = morning + _hour(rng), float(rng.uniform(0.5, 4)), client.some(1), client.seed()
            length = min(left, int(rng.lognormal(np.log(12), 0.6)) + 1)
            for frame in range(length):
                client.send(at + frame / rate, row, seed, np.array([frame]))
            left -= length

    def _what_if(self, client: _Client, morning: float, records: Records) -> None:
        """Fill in a form, change a field or two and send it again; keep the change, or not. Of a picture, cut anew."""
        rng = client.rng
        for at, count in self._sittings(client, morning):
            for row in client.some(count).tolist():
                one = np.array([row])
                kept: tuple[Edit, ...] = ()
                client.send(at, one, 0)
                if rng.random() < 0.5:
                    continue
                for look in range(int(rng.geometric(0.45))):
                    at += float(rng.lognormal(np.log(12), 0.6))
                    edits = (*kept, *_edits(records, row, rng))
                    client.send(at, one, client.seed(), np.array([look + 1]), edits)
                    kept = edits if rng.random() < 0.5 else kept

    def _batch(self, client: _Client, morning: float, records: Records) -> None:
        """Send the day's cases at night, some dozens at once, and now and then all of them again: the job failed."""
        rng = client.rng
        rows = rng.permutation(client.pool)[: int(rng.integers(40, 200))]
        size, at = int(2 ** rng.integers(3, 7)), morning + float(rng.uniform(1, 5)) * 3600
        for _ in range(2 if rng.random() < 0.05 else 1):
            for start in range(0, len(rows), size):
                client.send(at, rows[start : start + size], 0)
                at += float(rng.uniform(0.5, 5))
            at += 900

    def _monitor(self, client: _Client, morning: float, records: Records) -> None:
        """Ask about the same one to three records in turn, each minute, every five or every quarter of an hour."""
        rng = client.rng
        canaries, every = client.some(int(rng.integers(1, 4))), float(rng.choice([60.0, 300.0, 900.0]))
        for turn, at in enumerate(np.arange(float(rng.uniform(0, every)), DAY, every).tolist()):
            client.send(morning + at + float(rng.uniform(0, 0.5)), canaries[[turn % len(canaries)]], 0)


def _hour(rng: Generator) -> float:
    """Return a time of the day in seconds, as busy as hours are."""
    share = np.array(BUSY) / sum(BUSY)
    return 3600 * (float(rng.choice(24, p=share)) + float(rng.random()))


def _pool(records: Records, kind: str, rng: Generator) -> Array:
    """Return the rows (n,) that a client has: its own part of all, or nearly those of one class alone."""
    everyone = rng.permutation(len(records))
    if kind != "one class":
        return everyone[: max(12, round(len(everyone) * float(rng.uniform(0.1, 1.0))))]
    mine = rng.permutation(np.flatnonzero(records.y == records.y[everyone[0]]))
    share = float(rng.beta(8, 1))
    return np.concatenate([mine, everyone[: round(len(mine) * (1 - share) / share)]])


def _edits(records: Records, row: int, rng: Generator) -> tuple[Edit, ...]:
    """Return one or two fields of a row with the values of other records; () for pictures."""
    if not isinstance(records.x, pd.DataFrame):
        return ()
    x, made = records.x, []
    for column in rng.permutation(x.shape[1])[: 1 if rng.random() < 0.7 else 2].tolist():
        others = rng.integers(len(records), size=8).tolist()
        new = [other for other in others if x.iat[other, column] != x.iat[row, column]]
        made += [(0, column, other) for other in new[:1]]
    return tuple(made)
