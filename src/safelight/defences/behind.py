"""A model that answers from behind a defence: it shows what both let through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from safelight.targets.base import Images, Model, Table
from safelight.threat import Access


class Limits(Protocol):
    """A defence that says how much an answer still holds."""

    @property
    def access(self) -> Access: ...


@dataclass(frozen=True)
class Behind:
    """What is the same for every model behind a defence.

    Attributes:
        model: without the defence.
        defence: that stands before it.
    """

    model: Model
    defence: Limits

    @property
    def access(self) -> Access:
        return min(self.model.access, self.defence.access)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.model.classes

    @property
    def inputs(self) -> Images | Table:
        return self.model.inputs
