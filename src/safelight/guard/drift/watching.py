"""Look out for drift: sketches of the last records, tested now and then against the reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.guard.drift.reference import DriftReference, table_of
from safelight.guard.drift.sketch import Sketch
from safelight.guard.drift.statistics import ks, ks_p, mmd, mmd_p, psi, psi_p
from safelight.guard.drift.window import Window
from safelight.guard.policy import Drifting
from safelight.guard.seen import Seen
from safelight.verdict.levels import holm

SIDES = ("inputs", "outputs")
TESTS = 8  # in the time that a whole window takes to pass
A_CALL = 64
"""Records of one call that are looked at, evenly many of a longer one."""
LARGE = 0.05
"""Of the window: drift counts only where it is seen without any one client that has this much of it."""
NAMED = 5


@dataclass(frozen=True)
class Shift:
    """One column that drifted.

    Attributes:
        side: "inputs" or "outputs".
        column: its place in the record or the answer, from 0.
        psi: population stability index.
        ks: largest difference of the distribution functions; 0 for words.
        p: after Holm, over all columns and both sides.
    """

    side: str
    column: int
    psi: float
    ks: float
    p: float


@dataclass(frozen=True)
class DriftFound:
    """Records or answers that no longer look like the reference. It is no alarm: nobody is suspected.

    Attributes:
        model: that was asked.
        at: seconds since 1970, UTC.
        records: in the window.
        clients: that they are of.
        shifts: the columns that drifted most, at most five, the largest PSI first.
        columns: how many columns drifted.
        mmd: squared MMD of each side that was tested.
        p: smallest, after Holm.
    """

    model: str
    at: float
    records: int
    clients: int
    shifts: tuple[Shift, ...]
    columns: int
    mmd: dict[str, float]
    p: float

    @property
    def why(self) -> str:
        """One sentence, computed from the numbers."""
        sides = " and ".join(sorted({shift.side for shift in self.shifts} or set(self.mmd)))
        most = self.shifts[0] if self.shifts else None
        what = f"most column {most.column} of the {most.side} (PSI {most.psi:.2f})" if most else "as a whole (MMD)"
        return f"The {sides} drifted: {what}; {self.records} records of {self.clients} clients, p = {self.p:.1g}."

    @property
    def facts(self) -> dict[str, Any]:
        """For the log: no record, no value, no client."""
        return {
            "model": self.model,
            "records": self.records,
            "clients": self.clients,
            "columns": self.columns,
            "shifts": [[each.side, each.column, round(each.psi, 3), round(each.ks, 3)] for each in self.shifts],
            "mmd": {side: round(value, 5) for side, value in self.mmd.items()},
            "p": float(f"{self.p:.2g}"),
        }


@dataclass
class Drift:
    """Watch for drift.

    Attributes:
        reference: to measure against.
        settings: [drift] of the policy.
        clients: that the policy names, 1 where it names none: from two on, one client alone is never drift.
    """

    reference: DriftReference
    settings: Drifting = field(default_factory=Drifting)
    clients: int = 1
    window: Window = field(init=False, repr=False)
    last: DriftFound | None = field(default=None, init=False)
    """What the latest test found; None where nothing drifts, or nothing was tested."""
    _sketches: tuple[Sketch, ...] = field(init=False, repr=False)
    _fresh: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the window."""
        outputs = self.reference.outputs
        self._sketches = (self.reference.inputs,) if outputs is None else (self.reference.inputs, outputs)
        alone = self.clients < 2
        cap = self.settings.window if alone else max(1, int(self.settings.share * self.settings.window))
        self.window = Window(self._sketches, self.settings.window, cap)

    def see(self, seen: Seen) -> DriftFound | None:
        """Take in one answered call; return drift when it begins to be seen, and not again while it lasts."""
        x = self.reference.columns.read(seen.x, seen.names)[0]
        if self.reference.model not in ("", seen.model) or not self._sketches[0].fits(x):
            return None
        n = len(x)
        rows = slice(None) if n <= A_CALL else np.linspace(0, n - 1, A_CALL).astype(np.int64)
        looks = [self._sketches[0].look(x[rows]), *(self._answered(seen.answers[rows]) for _ in SIDES[1:])]
        count = min(n, A_CALL)
        self.window.take(seen.client, looks[: len(self._sketches)], count)
        self._fresh += count
        if self._fresh < self.settings.window // TESTS or not self.ready:
            return None
        self._fresh = 0
        before, self.last = self.last, self.test(seen.model, seen.at)
        return self.last if before is None else None

    @property
    def ready(self) -> bool:
        """Whether there are records enough, of clients enough, for a test."""
        return len(self.window) >= self.settings.least and self.window.clients >= min(self.clients, 2)

    def test(self, model: str, at: float) -> DriftFound | None:
        """Test the window now; with two clients or more, also without each large one."""
        sides = range(len(self._sketches))
        whole = [self.window.totals(side) for side in sides]
        found = self._tested(model, at, whole)
        if found is None or self.clients < 2:
            return found
        for number in self.window.largest(LARGE):
            mine = [self.window.totals(side, number) for side in sides]
            rest = [(a - d, b - e, m - k) for (a, b, m), (d, e, k) in zip(whole, mine)]
            if self._tested(model, at, rest) is None:
                return None
        return found

    def _answered(self, answers: Any) -> Any:
        sketch = self.reference.outputs
        if sketch is None:
            return None
        if not self.reference.labels and answers.dtype.kind not in "fiub":
            return None
        table = table_of(answers, self.reference.labels)
        return sketch.look(table) if sketch.fits(table) else None

    def _tested(self, model: str, at: float, totals: list[tuple[Array, Array, int]]) -> DriftFound | None:
        read: list[tuple[str, Sketch, Array, Array, Array]] = []
        squares: dict[str, float] = {}
        together: list[float] = []
        records = 0
        for name, sketch, (after, features, m) in zip(SIDES, self._sketches, totals):
            n = sketch.records
            if m < self.settings.least // 4:
                continue
            records = max(records, m)
            index, d = psi(sketch.counts, after), ks(sketch.counts, after)
            held = ((sketch.counts + after) > 0).sum(axis=1)
            p = np.where(sketch.worded, psi_p(index, held, n, m), ks_p(d, n, m))
            read.append((name, sketch, index, np.where(sketch.worded, 0.0, d), p))
            squares[name] = mmd(sketch.mean, features / m)
            together.append(mmd_p(squares[name], sketch.weights, n, m))
        if not read:
            return None
        adjusted = np.array(holm([*np.concatenate([p for *_, p in read]).tolist(), *together]))
        level = self.settings.alpha / TESTS
        moved: list[Shift] = []
        start = 0
        for name, sketch, index, d, p in read:
            mine = adjusted[start : start + len(p)]
            start += len(p)
            for i in np.flatnonzero((mine <= level) & (index >= self.settings.psi)):
                column = int(sketch.taken[sketch.counted[i]])
                moved.append(Shift(name, column, float(index[i]), float(d[i]), float(mine[i])))
        whole = [
            float(p)
            for p, square in zip(adjusted[start:], squares.values())
            if p <= level and square >= self.settings.mmd
        ]
        if not moved and not whole:
            return None
        moved.sort(key=lambda shift: -shift.psi)
        smallest = min([*(shift.p for shift in moved), *whole])
        return DriftFound(model, at, records, self.window.clients, tuple(moved[:NAMED]), len(moved), squares, smallest)
