"""[outputs.noise]: noise on what an answer holds, and how much of it a client may get to see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from safelight.errors import InputError
from safelight.guard.tables import table

PARTS = 1000
"""An epsilon is counted in so many parts, so that sums of it are whole numbers."""


@dataclass(frozen=True)
class Noise:
    """[outputs.noise]: noise on the scores or predictions of each answer, the same for a record however it is asked.

    Attributes:
        epsilon: of each answered record, in [0.001, 1000000]; Laplace noise on scores has the scale 2 / epsilon.
        epsilon_lifetime: that one client may spend in all (> 0); no limit when left out.
        low, high: between which a regressor's predictions lie; they are cut to it, and get noise of the scale
            (high - low) / epsilon. Without them predictions do not leave.
        series: any word; a new one for each new model that no [[upstream.version]] tells of.
    """

    epsilon: float
    epsilon_lifetime: float | None = None
    low: float | None = None
    high: float | None = None
    series: str = ""

    def __post_init__(self) -> None:
        if self.epsilon_lifetime is not None and 0 < self.epsilon_lifetime < self.epsilon:
            raise InputError(
                f"epsilon_lifetime is {self.epsilon_lifetime:g} and epsilon is {self.epsilon:g}; with less than one "
                "answer nobody can ask."
            )
        if (self.low is None) != (self.high is None):
            raise InputError("[outputs.noise] has one of low and high; give both, or neither.")
        if self.low is not None and self.high is not None and not 0 < self.high - self.low < math.inf:
            raise InputError(f"low is {self.low:g} and high is {self.high:g}; low must be below high.")

    @property
    def each(self) -> int:
        """What an answered record costs, in parts of an epsilon, rounded up."""
        return int((Decimal(repr(self.epsilon)) * PARTS).to_integral_value(ROUND_CEILING))

    @property
    def limit(self) -> int | None:
        """What one client may spend in all, in parts of an epsilon, rounded down."""
        if self.epsilon_lifetime is None:
            return None
        return int((Decimal(repr(self.epsilon_lifetime)) * PARTS).to_integral_value(ROUND_FLOOR))


def with_noise(where: str, content: Any, usual: Any = None) -> Any:
    """Return the content of a table [outputs] with its noise as facts.

    Args:
        where: begins the sentence of an error.
        content: of the table.
        usual: of the table whose noise holds where this one says less; `noise = false` takes it away.

    Raises:
        InputError: the noise is no table, has an unknown key, or a value that cannot be.
    """
    if not isinstance(content, Mapping):
        return content
    beside = usual.get("noise") if isinstance(usual, Mapping) else None
    found = content.get("noise", beside)
    if found is None or found is False:
        return {name: value for name, value in content.items() if name != "noise"}
    if isinstance(found, Mapping) and isinstance(beside, Mapping):
        found = {**beside, **found}
    return {**content, "noise": table(f"{where} noise", Noise, found)}
