"""[budget]: how many records may be asked about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """[budget]: records that one client may ask about; a batch of n records counts n. Left out, there is no limit.

    Attributes:
        per_minute: this many at once, then as many a minute (>= 1).
        per_day: from midnight to midnight, UTC (>= 1).
        lifetime: in all (>= 1).
    """

    per_minute: int | None = None
    per_day: int | None = None
    lifetime: int | None = None
