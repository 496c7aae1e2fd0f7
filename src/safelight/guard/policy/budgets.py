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

    @property
    def each(self) -> int:
        """What one record costs of it."""
        return 1


@dataclass(frozen=True)
class Epsilons(Budget):
    """What a client may spend in [outputs.noise], in parts of an epsilon.

    Attributes:
        cost: of one record (>= 1).
    """

    cost: int = 1

    @property
    def each(self) -> int:
        return self.cost
