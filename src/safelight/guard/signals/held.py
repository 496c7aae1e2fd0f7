"""Whether one field is held still while the others vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from safelight.guard.reference import Reference
from safelight.guard.window import Window

LENGTHS = (32, 128)


@dataclass(frozen=True)
class HeldField:
    """One field has the same value in record after record while the others vary as ever: the first half of an
    enumeration that asks about many people with one value before it asks about them with the next.

    For each field: how much likelier the share of records with the last record's value is with a share of its own than
    with that of normal traffic (a divergence of Kullback and Leibler, in nats a record). The largest counts, times
    (1 - e)^2, where e is the most by which another field's share exceeds its usual one: when much is held, it is the
    same record, or one group of them.

    What it cannot see: a value that nearly all records have anyway, and clients that are about one group alone when
    other such clients were in the traffic of the calibration.
    Source: our own; the order of queries is that of Mehnaz et al. 2022, arXiv:2201.09370, asked value by value.
    """

    name: ClassVar[str] = "held field"
    spread: ClassVar[float] = 0.08
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = True

    doubt: float = 16.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return how much the most constant field stands out, in nats; 0 where none does."""
        fields = window.fields
        if fields.shape[1] < 2 or len(fields) < 2:
            return 0.0
        fields = fields[~window.repeat]
        if not len(fields):  # the same record all the time
            return 0.0
        usual = np.maximum(reference.shares(fields[-1]), 0.01)
        best = 0.0
        for m in LENGTHS:
            last = fields[-m:]
            share = (last == fields[-1]).mean(axis=0)
            rest = 1 - share
            nats = share * np.log(np.maximum(share, 1e-9) / usual) + rest * np.log(
                np.maximum(rest, 1e-9) / np.maximum(1 - usual, 1e-9)
            )
            nats = np.where((share > usual) & (share > 1.5 / len(last)), nats, 0.0)
            top = int(nats.argmax())
            other = max(0.0, float(np.delete(share - usual, top).max()))
            best = max(best, float(nats[top]) * (1 - other) ** 2 * len(last) / (len(last) + self.doubt))
        return best
