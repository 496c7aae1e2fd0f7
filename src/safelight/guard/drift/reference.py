"""The reference that drift is measured against: sketches of records and answers, in one npz file without pickles."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError
from safelight.guard.columns import Columns, Names
from safelight.guard.drift.sketch import Sketch, sketched

LEAST = 200
LABELS = 64
"""Whole numbers with at most so many different values are labels, not amounts."""


@dataclass(frozen=True)
class DriftReference:
    """What normal records, and the model's answers to them, look like.

    Attributes:
        model: that they were asked of, or "" for any.
        inputs: sketch of the records.
        outputs: sketch of the answers, or None where none were kept.
        labels: whether the answers are labels, which count as words.
        columns: the order of a record's values: calls that name theirs are brought into it.
    """

    model: str
    inputs: Sketch
    outputs: Sketch | None = None
    labels: bool = False
    columns: Columns = Columns()  # noqa: RUF009 - it holds no names

    @classmethod
    def of(
        cls, x: Array, answers: Array | None = None, model: str = "", seed: int = 0, names: Names = ()
    ) -> DriftReference:
        """Make the sketches.

        Args:
            x: records (n, values) as the guard reads them: float64, or object where some are words.
            answers: scores (n, classes), or labels or predictions (n,), or None.
            model: that was asked.
            seed: of the random features.
            names: of the values of a record, or () where their place is the meaning.

        Raises:
            InputError: fewer than 200 records, or answers to another number of them.
        """
        if x.ndim != 2 or len(x) < LEAST or not x.shape[1]:
            raise InputError(f"A reference of drift needs a table of {LEAST} records or more, and got {x.shape}.")
        rng = np.random.default_rng(seed)
        if answers is None:
            return cls(model, sketched(x, rng), columns=Columns(names))
        if len(answers) != len(x):
            raise InputError(f"There are {len(x)} records and {len(answers)} answers; give one answer a record.")
        labels = is_labels(answers)
        inputs = sketched(x, rng)
        outputs = sketched(table_of(answers, labels), rng)
        return cls(model, inputs, outputs, labels, Columns(names))

    def save(self, path: Path) -> None:
        """Write the file."""
        parts = {"inputs": self.inputs} | ({"outputs": self.outputs} if self.outputs is not None else {})
        arrays = {f"{name}_{item}": getattr(part, item) for name, part in parts.items() for item in KEPT}
        with path.open("wb") as file:
            names = json.dumps(self.columns.names)
            np.savez_compressed(file, model=self.model, labels=self.labels, names=names, **arrays)

    @classmethod
    def load(cls, path: Path) -> DriftReference:
        """Read the file; raises InputError where it is missing or no such reference."""
        try:
            with np.load(path, allow_pickle=False) as file:
                parts = {name: _sketch(name, file) for name in ("inputs", "outputs") if f"{name}_width" in file}
                names = tuple(json.loads(str(file["names"]))) if "names" in file else ()
                return cls(
                    str(file["model"]), parts["inputs"], parts.get("outputs"), bool(file["labels"]), Columns(names)
                )
        except OSError as error:
            raise InputError(
                f"The reference of drift {path} cannot be read ({error.strerror or error}); make it with: "
                "safelight guard drift-reference."
            ) from None
        except (ValueError, KeyError, TypeError, EOFError) as error:
            raise InputError(
                f"{path} is no reference of drift ({type(error).__name__}: {error}); make it with: "
                "safelight guard drift-reference."
            ) from None


KEPT = tuple(item.name for item in fields(Sketch) if item.init)


def is_labels(answers: Array) -> bool:
    """Whether answers are labels: words, or a few whole numbers, one for each record."""
    if answers.ndim == 2 and answers.shape[1] > 1:
        return False
    if answers.dtype.kind not in "fiub":
        return True
    values = answers.astype(np.float64).ravel()
    return bool(np.all(values == np.round(values))) and len(np.unique(values)) <= LABELS


def table_of(answers: Array, labels: bool) -> Array:
    """Return answers as a table (n, k): float64, or words where they are labels."""
    if not labels:
        return np.asarray(answers, np.float64).reshape(len(answers), -1)
    words = [f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value) for value in answers.ravel()]
    return np.array(words, object).reshape(len(answers), -1)


def _sketch(name: str, file: np.lib.npyio.NpzFile) -> Sketch:
    arrays = {item: file[f"{name}_{item}"] for item in KEPT}
    whole: dict[str, Any] = {item: value.item() if value.ndim == 0 else value for item, value in arrays.items()}
    return Sketch(**whole)
