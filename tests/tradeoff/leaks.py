"""A defence of known strength, for the tests of this folder."""

from dataclasses import dataclass, replace
from typing import ClassVar

from safelight.defences.base import InTraining


@dataclass(frozen=True)
class Leaks(InTraining):
    """A defence of known strength: what leaks is as large as it says."""

    name: ClassVar[str] = "leaks"
    title: ClassVar[str] = "Leaks as told"
    source: ClassVar[str] = "none"

    leak: float = 0.0

    def fit(self, recipe, records, seed):
        return replace(recipe, leak=self.leak).fit(records, seed)
