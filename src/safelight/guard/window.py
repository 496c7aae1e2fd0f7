"""The last records that one client, or one cohort, asked one model about: facts and sketches, never the records."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

SIZE = 128
"""Records of a client that are looked at together."""
SLACK = 16
"""Records that are dropped at once when a window is full."""
TEXTS = 32
"""Texts that are kept of a language model's client."""
LENGTH = 2000
"""Characters that are kept of each."""
TEXT_BYTES = 54_000
"""Bytes that the texts of one window take at most: where they are long, fewer are kept."""
PLAIN = ("far", "made", "near", "hit", "top", "second", "margin")


@dataclass(frozen=True)
class Facts:
    """What is kept of n records.

    Attributes:
        z: (n, p) sketch: the leading principal components, each with deviation 1 in normal traffic.
        scores: (n, k) raw scores of up to 64 classes; (n, 0) where only labels leave.
        numbers: (n, 7) the columns of `PLAIN`; see `Window`.
        fields: (n, d) keyed hashes of the fields, or (n, 0) for more than 64 values.
        label: (n,) number of the answered class, 65535 where there is none.
        digest: (n,) keyed hash of the whole record.
        at: seconds since 1970.
        texts: (prompt, completion) of each.
    """

    z: Array
    scores: Array
    numbers: Array
    fields: Array
    label: Array
    digest: Array
    at: float
    texts: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def piece(self, start: int, stop: int) -> Facts:
        """Return some of the records."""
        rows = slice(start, stop)
        return Facts(self.z[rows], self.scores[rows], self.numbers[rows], self.fields[rows], self.label[rows],
                     self.digest[rows], self.at, self.texts[rows])  # fmt: skip


class Window:
    """A buffer that holds the last `size` records and grows only as they come.

    Arrays are in the order in which the records came; each is a view that the next `append` may change.

    Attributes:
        size: records it holds at most.
        seen: records that ever came.
        today: records that came on the UTC day of the last one.
        minute: records of the last minute, each with a weight that falls by 1/e in 60 seconds.

    Args:
        p: numbers a sketch.
        k: classes whose scores are kept.
        d: fields that are kept.
    """

    __slots__ = ("_at", "_fields", "_floats", "_k", "_p", "_ready", "_start", "_stop", "_whole", "minute", "seen",
                 "size", "texts", "today")  # fmt: skip

    def __init__(self, p: int, k: int, d: int, size: int = SIZE) -> None:
        self.size, self.seen, self.today, self.minute = size, 0, 0, 0.0
        self._p, self._k, self._start, self._stop = p, k, 0, 0
        self._floats = np.empty((0, p + k + len(PLAIN)), np.float16)
        self._fields = np.empty((0, d), np.uint16)
        self._whole = np.empty((0, 3), np.uint64)  # digest, partners, label and repeat
        self._at = np.empty(0)
        # Of a cohort, whose window is long and compared with at each call, the sketches in single precision as well.
        self._ready = np.empty((0, p), np.float32) if size > SIZE else None
        self.texts: list[tuple[str, str]] = []

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def z(self) -> Array:
        """(n, p) sketches."""
        return self._floats[self._start : self._stop, : self._p]

    @property
    def scores(self) -> Array:
        """(n, k) raw scores."""
        return self._floats[self._start : self._stop, self._p : self._p + self._k]

    @property
    def far(self) -> Array:
        """(n,) surprise, 0 to 8: -log of the share of normal records that lie as far from normal traffic."""
        return self._plain(0)

    @property
    def made(self) -> Array:
        """(n,) surprise, 0 to 8: -log of the share of normal records that look as made up."""
        return self._plain(1)

    @property
    def near(self) -> Array:
        """(n,) surprise, 0 to 8: -log of the share of normal records that have an earlier one as near."""
        return self._plain(2)

    @property
    def hit(self) -> Array:
        """(n,) share of the hashes of a record's sketch that a training record has; of a text, how much its answer says
        of training texts; see `safelight.guard.signals.regurgitated`."""
        return self._plain(3)

    @property
    def top(self) -> Array:
        """(n,) largest score, 1 for a bare label."""
        return self._plain(4)

    @property
    def second(self) -> Array:
        """(n,) second largest score."""
        return self._plain(5)

    @property
    def margin(self) -> Array:
        """(n,) log of the largest score over the second, 0 to 10; 10 for a bare label."""
        return self._plain(6)

    @property
    def news(self) -> Array:
        """(n,) in [0, 1] how much a record tells beside earlier ones: less the nearer it lies, 0 for the same."""
        return ~self.repeat / (1 + np.maximum(self.near.astype(np.float32) - 2.3, 0))  # type: ignore[no-any-return]

    @property
    def fields(self) -> Array:
        """(n, d) keyed hashes of the fields."""
        return self._fields[self._start : self._stop]

    @property
    def digest(self) -> Array:
        """(n,) keyed hashes of whole records."""
        return self._whole[self._start : self._stop, 0]

    @property
    def partners(self) -> Array:
        """(n,) bit f is set where another record of the window differs in field f and in no other."""
        return self._whole[self._start : self._stop, 1]

    @property
    def label(self) -> Array:
        """(n,) numbers of the answered classes."""
        return self._whole[self._start : self._stop, 2] & np.uint64(0xFFFF)

    @property
    def repeat(self) -> Array:
        """(n,) whether the very same record was in the window before."""
        return self._whole[self._start : self._stop, 2] > 0xFFFF

    @property
    def at(self) -> Array:
        """(n,) seconds since 1970."""
        return self._at[self._start : self._stop]

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays and texts."""
        kept = sum(_bytes(pair) for pair in self.texts)
        ready = 0 if self._ready is None else self._ready.nbytes
        return self._floats.nbytes + self._fields.nbytes + self._whole.nbytes + self._at.nbytes + ready + kept

    def only(self, rows: Array) -> Window:
        """Return a window of some of its records; rows (n,) bool."""
        part = Window(self._p, self._k, self._fields.shape[1], self.size)
        for name in ("_floats", "_fields", "_whole", "_at", *(() if self._ready is None else ("_ready",))):
            setattr(part, name, getattr(self, name)[self._start : self._stop][rows])
        part._stop, part.seen, part.today, part.minute = int(rows.sum()), self.seen, self.today, self.minute
        newest = rows[len(rows) - len(self.texts) :]  # those that the texts are of
        part.texts = [text for text, stays in zip(self.texts, newest.tolist()) if stays]
        return part

    def append(self, facts: Facts, nearness: Array) -> None:
        """Take records in; at most `size` at once.

        Args:
            facts: of the records.
            nearness: of the reference.
        """
        n = len(facts)
        self._room(n)
        start, stop = self._start, self._stop
        # A slow answer may come after those to later calls: time is not turned back for it.
        at = max(facts.at, float(self._at[stop - 1])) if stop > start else facts.at
        self._count(at, n)
        rows = slice(stop, stop + n)
        p, k = self._p, self._k
        self._floats[rows, :p], self._floats[rows, p : p + k] = facts.z, facts.scores
        self._floats[rows, p + k :] = facts.numbers
        self._fields[rows], self._at[rows] = facts.fields, at
        if self._ready is not None:
            self._ready[rows] = self._floats[rows, :p]
        whole = self._whole
        whole[rows, 0], whole[rows, 1], whole[rows, 2] = facts.digest, 0, facts.label
        for row in range(stop, stop + n):
            same = whole[start:row, 0] == whole[row, 0]
            if same.any():
                whole[row, 2] += np.uint64(0x10000)
            elif row > start:
                self._compare(start, row, nearness)
        self._stop = stop + n
        self._start = max(start, self._stop - self.size)
        if facts.texts:
            cut = [(prompt[:LENGTH], completion[:LENGTH]) for prompt, completion in facts.texts[-TEXTS:]]
            self.texts = _newest([*self.texts, *cut][-TEXTS:])
        self.seen += n

    def _compare(self, start: int, row: int, nearness: Array) -> None:
        """Find the nearest record before this one, and those that differ in one field."""
        p = self._p
        if p:
            z = (
                self._floats[start : row + 1, :p].astype(np.float32)
                if self._ready is None
                else self._ready[start : row + 1]
            )
            apart = z[:-1] - z[-1]
            nearest = math.sqrt(np.einsum("ij,ij->i", apart, apart).min())
            steps = (-math.log(max(nearest, 1e-6)) - nearness[0]) / (nearness[1] - nearness[0])
            self._floats[row, p + self._k + 2] = min(max(0.693147 + 1.609438 * steps, 0.0), 8.0)
        d = self._fields.shape[1]
        if d > 1:
            equal = self._fields[start:row] == self._fields[row]
            ones = np.flatnonzero(equal.sum(axis=1) == d - 1)
            if len(ones):
                bits = np.uint64(1) << (~equal[ones]).argmax(axis=1).astype(np.uint64)
                self._whole[start + ones, 1] |= bits
                self._whole[row, 1] = np.bitwise_or.reduce(bits)

    def _count(self, at: float, n: int) -> None:
        if self.seen and self._stop > self._start:
            before = float(self._at[self._stop - 1])
            self.minute *= math.exp(min(0.0, before - at) / 60)
            if at // 86400 != before // 86400:
                self.today = 0
        self.today += n
        self.minute += n

    def _plain(self, place: int) -> Array:
        return self._floats[self._start : self._stop, self._p + self._k + place]

    def _room(self, n: int) -> None:
        """Make room for n more rows: double, up to the whole window and some slack; then move what is left down."""
        stop, space = self._stop, len(self._at)
        if stop + n <= space:
            return
        most = self.size + max(n, SLACK)
        keep = min(len(self), self.size)
        wanted = min(most, max(8, 2 * space, keep + n))
        new = max(wanted, space)
        for name in ("_floats", "_fields", "_whole", "_at", *(() if self._ready is None else ("_ready",))):
            old = getattr(self, name)
            fresh = old if new == space else np.empty((new, *old.shape[1:]), old.dtype)
            fresh[:keep] = old[stop - keep : stop].copy() if fresh is old else old[stop - keep : stop]
            setattr(self, name, fresh)
        self._start, self._stop = 0, keep


def _bytes(pair: tuple[str, str]) -> int:
    return sys.getsizeof(pair[0]) + sys.getsizeof(pair[1])


def _newest(texts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the newest texts that together take no more than `TEXT_BYTES`; the last one always."""
    room = TEXT_BYTES
    for place in range(len(texts) - 1, -1, -1):
        room -= _bytes(texts[place])
        if room < 0 and place < len(texts) - 1:
            return texts[place + 1 :]
    return texts
