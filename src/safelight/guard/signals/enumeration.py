"""Whether records differ in one field alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from safelight.guard.reference import Reference
from safelight.guard.window import Window


@dataclass(frozen=True)
class Enumeration:
    """Attribute enumeration: the same record with many values of one field, to see which one the model takes for true.

    For each field it counts the records of the window that another one matches in all fields but this; the field with
    the largest share counts. Two values of a field are enough.

    What it cannot see: values of one record that come further apart than a window, or from different clients (the
    cohort's window may hold them), and fields that are changed together. Whoever tries out what-if questions looks the
    same. Where records have few fields of few values, normal ones match by chance.
    Source: our own; the queries are those of Fredrikson et al. 2014 and Mehnaz et al. 2022, arXiv:2201.09370.
    """

    name: ClassVar[str] = "attribute enumeration"
    spread: ClassVar[float] = 0.25
    relative: ClassVar[float] = 0.0
    tables: ClassVar[bool] = True

    doubt: float = 16.0

    def score(self, window: Window, reference: Reference) -> float:
        """Return the share of records that have a partner in the busiest field, in [0, 1]."""
        bits = window.partners
        if not bits.any():
            return 0.0
        flags = np.unpackbits(np.ascontiguousarray(bits).view(np.uint8).reshape(len(bits), 8), axis=1)
        return float(flags.sum(axis=0).max() / (len(bits) + self.doubt))
