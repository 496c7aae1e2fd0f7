"""Two crowds of harmless clients, so that what calibrates a watch does not judge it.

Each mixes five kinds of clients: `iid` asks about any records, `one class` about those of one class, `retry` sends the
same again, `burst` sends what a camera or a monitor sees, one frame after the other, and `noisy` has a bad camera or a
careless typist. `Regulars` and `Crowd` differ in how much their clients ask, when, in how large questions, and in how
records move and get noisy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.drill.clock import DAY, START
from safelight.drill.traffic import Event
from safelight.drill.values import Values

KINDS = ("iid", "one class", "retry", "burst", "noisy")


@dataclass(frozen=True)
class Regulars:
    """A crowd that keeps to office hours: uniform amounts, one record a question, slow drift, a device for each client.

    Attributes:
        clients: how many (>= 1).
        days: that each is there (>= 1).
        least, most: records that a client asks about a day.
        again: chance that a retry client sends a record again at once, and again; each has its own, up to twice this.
        drift: of one frame, as a part of a picture's range, or of a number's usual size.
        noise: deviation of the noise, likewise; each device has its own, up to twice this.
        group: clients in one cohort.
    """

    clients: int = 500
    days: int = 1
    least: int = 10
    most: int = 60
    again: float = 0.3
    drift: float = 0.02
    noise: float = 0.15
    group: int = 20

    def events(self, records: Records, rng: Generator) -> list[Event]:
        made: list[Event] = []
        for number in range(self.clients):
            kind = KINDS[number % len(KINDS)]
            pool, again, device = _pool(records, kind, 1.0, rng), 2 * self.again * rng.random(), rng.integers(2**31)
            for day in range(self.days):
                count = int(rng.integers(self.least, self.most + 1))
                rows, frames, seeds = self._day(kind, pool, count, again, rng)
                if kind == "noisy":
                    seeds[:], frames = device, 1 + 1000 * day + np.arange(count)
                hours = np.sort(rng.uniform(8, 17, count)) * 3600
                for i, hour in enumerate(hours.tolist()):
                    who, at, one = (
                        (f"regular-{number}", f"office-{number // self.group}"),
                        START + day * DAY + hour,
                        [i],
                    )
                    made.append(Event(*who, kind, at, rows[one], frames[one], int(seeds[i])))
        return sorted(made, key=lambda event: (event.at, event.client))

    def _day(self, kind: str, pool: Array, count: int, again: float, rng: Generator) -> tuple[Array, Array, Array]:
        rows, frames = rng.choice(pool, count), np.zeros(count, int)
        seeds = rng.integers(2**31, size=count)
        if kind == "retry":
            for i in range(1, count):
                if rng.random() < again:
                    rows[i] = rows[i - 1]
        if kind == "burst":
            starts = np.arange(count) // 15 * 15
            rows, seeds, frames = rows[starts], seeds[starts], np.arange(count) - starts
        return rows, frames, seeds

    def changed(self, event: Event, values: Array, about: Values) -> Array:
        """Let a burst drift along one random direction, and see what is noisy through its client's device."""
        rng = np.random.default_rng(event.seed)
        if event.kind == "burst":
            return _added(values, float(event.frames[0]) * self.drift, about, rng, whole=False)
        if event.kind != "noisy":
            return values
        own = np.random.default_rng([event.seed, int(event.frames[0])])
        return _added(_worn(values, about, rng), 2 * self.noise * rng.random(), about, own, whole=True)


@dataclass(frozen=True)
class Crowd:
    """A crowd of all hours: few ask much and many little, several records a question, moving cameras, spoilt pixels.

    Attributes:
        clients: how many (>= 1).
        days: that each is there (>= 1).
        middle, spread: median number of records a day, and deviation of its logarithm.
        most: records a day at the most.
        batch: records of one question at the most (>= 1).
        own: share of a one-class client's records that are of its class.
        again: chance that a retry client's question gets no answer in time and is sent again; each has its own, up to
            twice this.
        reach: pixels, or steps of a number, that a burst moves about.
        spoilt: share of values that noise spoils.
        group: clients in one cohort.
    """

    clients: int = 500
    days: int = 1
    middle: float = 25.0
    spread: float = 1.0
    most: int = 300
    batch: int = 4
    own: float = 0.85
    again: float = 0.4
    reach: int = 2
    spoilt: float = 0.05
    group: int = 25

    def events(self, records: Records, rng: Generator) -> list[Event]:
        made: list[Event] = []
        for number in range(self.clients):
            kind = KINDS[int(rng.integers(len(KINDS)))]
            pool, again = _pool(records, kind, self.own, rng), 2 * self.again * rng.random()
            for day in range(self.days):
                left = int(np.clip(np.exp(rng.normal(np.log(self.middle), self.spread)), 1, self.most))
                at, frame, row, seed = START + day * DAY + float(rng.uniform(0, DAY / 2)), 0, 0, 0
                while left > 0:
                    n = 1 if kind == "burst" else min(left, 1 + int(rng.integers(self.batch)))
                    at += float(rng.exponential(0.5 if kind == "burst" else 120.0))
                    rows, frames = rng.choice(pool, n), np.zeros(n, int)
                    if kind == "burst":
                        if frame == 0 or rng.random() < 0.04:
                            frame, row, seed = 0, int(rows[0]), int(rng.integers(2**31))
                            at += float(rng.exponential(600.0))
                        frame += 1
                        rows, frames = np.array([row]), np.array([frame])
                    else:
                        seed = int(rng.integers(2**31))
                    times = 1 + int(min(rng.geometric(1 - again) - 1, 4)) if kind == "retry" else 1
                    who = f"client-{number}", f"site-{number // self.group}"
                    made += [Event(*who, kind, at + 2.0 * turn, rows, frames, seed) for turn in range(times)]
                    left -= n * times
        return sorted(made, key=lambda event: (event.at, event.client))

    def changed(self, event: Event, values: Array, about: Values) -> Array:
        """Let a burst move about, and spoil some values of what is noisy."""
        if event.kind == "burst":
            return self._moved(values, int(event.frames[0]), about, np.random.default_rng(event.seed))
        return self._spoilt(values, about, np.random.default_rng(event.seed)) if event.kind == "noisy" else values

    def _moved(self, values: Array, frame: int, about: Values, rng: Generator) -> Array:
        """Move a picture about in whole pixels while the light flickers; let two numbers of a row go up and down."""
        angle = rng.uniform(0, 2 * np.pi) + 0.7 * frame
        steps = np.array([round(self.reach * float(wave(angle))) for wave in (np.cos, np.sin)])
        if not about.pictures:
            moved, some = values.copy(), rng.permutation(len(about.columns))[:2]
            moved[:, some] += steps[: len(some)] * about.unit[some]
            return moved
        light = 1 + 0.05 * np.sin(1.9 * frame + rng.uniform(0, 6))
        shifted = np.roll(values, steps.tolist(), axis=(-2, -1))
        return np.clip(about.low + (shifted - about.low) * light, about.low, about.high)

    def _spoilt(self, values: Array, about: Values, rng: Generator) -> Array:
        """Set a few pixels to black or white; mistype a few numbers: one more or less, or ten times a step too far."""
        spoilt = rng.random(values.shape) < self.spoilt
        if about.pictures:
            ends = np.where(rng.random(values.shape) < 0.5, about.low, about.high)
            return np.where(spoilt, ends, values)
        return values + np.where(spoilt, rng.choice([-1, 1, 10], values.shape) * about.unit, 0)


def _pool(records: Records, kind: str, own: float, rng: Generator) -> Array:
    """Return the rows (n,) that a client has: a few dozen of all, or mostly those of one class."""
    everyone = rng.permutation(len(records))
    if kind != "one class":
        return everyone[: max(1, len(everyone) // 2)]
    mine = np.flatnonzero(records.y == records.y[everyone[0]])
    others = everyone[: round(len(mine) * (1 - own) / own)]
    return np.concatenate([mine, others])


def _added(values: Array, size: float, about: Values, rng: Generator, *, whole: bool) -> Array:
    """Return values with Gaussian numbers added: to each record others (`whole`), or to all the same."""
    step = rng.standard_normal(values.shape if whole else (1, *values.shape[1:]))
    added = values + size * about.size * step
    return np.clip(added, about.low, about.high) if about.pictures else added


def _worn(values: Array, about: Values, rng: Generator) -> Array:
    """Return values as a device gives them that smooths, fades or knows few levels, or two of these; rows: the last."""
    smooth, fades, levels = rng.random(3) < 0.5
    if about.pictures and smooth:
        sides = [np.roll(values, step, axis) for step in (-1, 1) for axis in (-2, -1)]
        share = rng.random()
        values = (1 - share) * values + share * (values + sum(sides)) / 5
    if about.pictures and fades:
        values = about.low + (values - about.low) * rng.uniform(0.5, 1) + about.size * rng.uniform(0, 0.2)
    if levels:
        step = about.size / rng.integers(4, 20) if about.pictures else about.unit * rng.integers(1, 6)
        values = about.low + np.round((values - about.low) / step) * step
    return values
