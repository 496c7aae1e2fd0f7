"""A model of which only the answers are left: every record it is asked about has its answer on file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from numpy import ndarray as Array

from safelight.data.outputs import ROW, Outputs
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.targets.base import Table, Target
from safelight.threat import Access


@dataclass(frozen=True)
class RecordedModel:
    """Looks answers up by the column `row`.

    Attributes:
        answers: (n, classes) probabilities.
        classes: names of the classes.
    """

    answers: Array
    classes: tuple[str, ...]
    access: Access = Access.SCORES
    on_file: ClassVar[bool] = True
    """It has no answer for any other record."""

    @property
    def inputs(self) -> Table:
        return Table((ROW,))

    def scores(self, x: Any) -> Array:
        return self.answers[x[ROW].to_numpy()]

    def labels(self, x: Any) -> Array:
        return self.scores(x).argmax(axis=1)


@dataclass(frozen=True)
class RecordedShadows:
    """Reference models of which only the answers are left; see `safelight.targets.base.Shadows`.

    Attributes:
        references: (models, n, classes) probabilities.
        inside: (models, n) whether each was trained on the record.
    """

    references: Array
    inside: Array

    def answers(self, train: Records, count: int, asked: Records | None = None) -> tuple[Array, Array]:
        """Return the answers of the first `count` models, or of all there are, and what each was trained on."""
        asked = train if asked is None else asked
        if not asked.is_table or ROW not in asked.x.columns:
            raise InputError("Recorded reference models can only be asked about the records that are on file.")
        return self.references[:count, asked.x[ROW].to_numpy()], self.inside[:count, train.x[ROW].to_numpy()]


def from_outputs(outputs: Outputs, name: str) -> tuple[Target, RecordedShadows | None]:
    """Return the recorded model as a target, and its reference models where there are at least two."""
    target = Target(name, RecordedModel(outputs.answers, outputs.classes), "outputs on file")
    shadows = RecordedShadows(outputs.references, outputs.inside) if len(outputs.references) >= 2 else None
    return target, shadows
