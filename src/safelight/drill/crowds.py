"""Two crowds of harmless clients, so that what calibrates a watch does not judge it.

Each mixes five kinds of clients: `iid` asks about any records, `one class` about those of one class, `retry` sends the
same again, `burst` sends what a camera or a monitor sees, one frame after the other, and `noisy` has a bad camera or a
careless typist. `Regulars` and `Crowd` differ in how much their clients ask, when, in how large questions, and in how
records move and get noisy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records
from safelight.drill.clock import DAY, START
from safelight.drill.traffic import Event

KINDS = ("iid", "one class", "retry", "burst", "noisy")


@dataclass(frozen=True)
class Regulars:
    """A crowd that keeps to office hours: uniform amounts, one record a question, Gaussian noise, slow drift.

    Attributes:
        clients: how many (>= 1).
        days: that each is there (>= 1).
        least, most: records that a client asks about a day.
        again: chance that a retry client sends a record again at once, and again.
        drift: of one frame, as a part of a picture's range, or of a number's usual size.
        noise: deviation of the noise, likewise.
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
            pool = _pool(records, kind, 1.0, rng)
            for day in range(self.days):
                count = int(rng.integers(self.least, self.most + 1))
                rows, frames, seeds = self._day(kind, pool, count, rng)
                hours = np.sort(rng.uniform(8, 17, count)) * 3600
                for i, hour in enumerate(hours.tolist()):
                    who, at, one = (
                        (f"regular-{number}", f"office-{number // self.group}"),
                        START + day * DAY + hour,
                        [i],
                    )
                    made.append(Event(*who, kind, at, rows[one], frames[one], int(seeds[i])))
        return sorted(made, key=lambda event: (event.at, event.client))

    def _day(self, kind: str, pool: Array, count: int, rng: Generator) -> tuple[Array, Array, Array]:
        rows, frames = rng.choice(pool, count), np.zeros(count, int)
        seeds = rng.integers(2**31, size=count)
        if kind == "retry":
            for i in range(1, count):
                if rng.random() < self.again:
                    rows[i] = rows[i - 1]
        if kind == "burst":
            starts = np.arange(count) // 15 * 15
            rows, seeds, frames = rows[starts], seeds[starts], np.arange(count) - starts
        return rows, frames, seeds

    def moved(self, x: Any, frame: int, rng: Generator) -> Any:
        """Drift along one random direction, as far as the frame's number says."""
        return _added(x, frame * self.drift, rng, whole=False)

    def noisy(self, x: Any, rng: Generator) -> Any:
        """Add Gaussian noise to every value."""
        return _added(x, self.noise, rng, whole=True)


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
        again: chance that a retry client's question gets no answer in time and is sent again.
        reach: pixels, or steps of a number, that a burst moves about.
        spoilt: share of values that noise spoils.
        group: clients in one cohort.
    """

    clients: int = 6000
    days: int = 1
    middle: float = 25.0
    spread: float = 0.7
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
            pool = _pool(records, kind, self.own, rng)
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
                    times = 1 + int(min(rng.geometric(1 - self.again) - 1, 4)) if kind == "retry" else 1
                    who = f"client-{number}", f"site-{number // self.group}"
                    made += [Event(*who, kind, at + 2.0 * again, rows, frames, seed) for again in range(times)]
                    left -= n * times
        return sorted(made, key=lambda event: (event.at, event.client))

    def moved(self, x: Any, frame: int, rng: Generator) -> Any:
        """Move a picture about in whole pixels while the light flickers; let two numbers of a row go up and down."""
        angle = rng.uniform(0, 2 * np.pi) + 0.7 * frame
        steps = [round(self.reach * float(wave(angle))) for wave in (np.cos, np.sin)]
        if isinstance(x, pd.DataFrame):
            return _stepped(x, steps, rng)
        light = 1 + 0.05 * np.sin(1.9 * frame + rng.uniform(0, 6))
        low, high = float(x.min()), float(x.max())
        shifted = np.roll(x, steps, axis=(-2, -1)) if x.ndim == 4 else x
        return np.clip(low + (shifted - low) * light, low, high).astype(x.dtype)

    def noisy(self, x: Any, rng: Generator) -> Any:
        """Set a few pixels to black or white; exchange a few values of a row with those of other rows."""
        if isinstance(x, pd.DataFrame):
            return _exchanged(x, self.spoilt, rng)
        spoilt = rng.random(x.shape) < self.spoilt
        ends = np.where(rng.random(x.shape) < 0.5, x.min(), x.max())
        return np.where(spoilt, ends, x).astype(x.dtype)


def _pool(records: Records, kind: str, own: float, rng: Generator) -> Array:
    """Return the rows (n,) that a client has: a few dozen of all, or mostly those of one class."""
    everyone = rng.permutation(len(records))
    if kind != "one class":
        return everyone[: max(1, len(everyone) // 2)]
    mine = np.flatnonzero(records.y == records.y[everyone[0]])
    others = everyone[: round(len(mine) * (1 - own) / own)]
    return np.concatenate([mine, others])


def _added(x: Any, size: float, rng: Generator, *, whole: bool) -> Any:
    """Return records with Gaussian numbers added: to each record others (`whole`), or to all the same."""
    if not isinstance(x, pd.DataFrame):
        low, high = float(x.min()), float(x.max())
        step = rng.standard_normal(x.shape if whole else (1, *x.shape[1:]))
        return np.clip(x + size * (high - low) * step, low, high).astype(x.dtype)
    columns: dict[str, Any] = {}
    for name, column in x.items():
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            columns[str(name)] = column
            continue
        step = rng.standard_normal(len(column) if whole else 1)
        moved = column + size * (abs(column).mean() + 1e-9) * step
        columns[str(name)] = moved.round().astype(column.dtype) if column.dtype.kind in "iu" else moved
    return pd.DataFrame(columns)


def _numbers(x: pd.DataFrame) -> list[Any]:
    return [name for name, column in x.items()
            if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)]  # fmt: skip


def _stepped(x: pd.DataFrame, steps: Sequence[int], rng: Generator) -> pd.DataFrame:
    """Return rows with two numbers moved by steps of a twentieth of their size, whole ones by whole steps."""
    moved = x.copy()
    names = _numbers(x)
    for name, step in zip(rng.permutation(np.array(names, dtype=object))[:2], steps, strict=False):
        unit = 1 if x[name].dtype.kind in "iu" else float(abs(x[name]).mean()) / 20
        moved[name] = x[name] + step * unit
    return moved


def _exchanged(x: pd.DataFrame, share: float, rng: Generator) -> pd.DataFrame:
    """Return rows in which some numbers are mistyped: one more, or one less, or ten times a step too far."""
    mended = x.copy()
    for name in _numbers(x):
        wrong = rng.random(len(x)) < share
        unit = 1 if x[name].dtype.kind in "iu" else float(abs(x[name]).mean()) / 20
        mended[name] = x[name] + np.where(wrong, rng.choice([-1, 1, 10], len(x)) * unit, 0).astype(x[name].dtype)
    return mended
