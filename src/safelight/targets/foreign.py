"""What the numbers of a model from elsewhere mean: shared by served models and ONNX files."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import BadAnswer, InputError, did_you_mean
from safelight.targets.base import Images, Table, softmax
from safelight.threat import Access


class Output(StrEnum):
    """What the owner says that the model answers with."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    LABELS = "labels"

    @classmethod
    def named(cls, word: str) -> Output:
        """Return the meaning called `word`; raises InputError for any other word."""
        try:
            return cls(word)
        except ValueError:
            names = [kind.value for kind in cls]
            raise InputError(f"output is {word!r}; use one of {', '.join(names)}.{did_you_mean(word, names)}") from None

    @property
    def access(self) -> Access:
        return {Output.PROBABILITIES: Access.SCORES, Output.LOGITS: Access.LOGITS, Output.LABELS: Access.LABEL}[self]


@dataclass(frozen=True)
class Meaning:
    """How to read an answer.

    Attributes:
        classes: names of the classes, in the order of the columns; () for regression.
        output: what the numbers are.
        name: which of several outputs to read, or None to find the only one that fits.
    """

    classes: tuple[str, ...]
    output: Output
    name: str | None = None

    @property
    def access(self) -> Access:
        return self.output.access if self.classes else Access.LABEL

    def choose(self, outputs: Mapping[str, Any]) -> Any:
        """Return the one output to read.

        Raises:
            InputError: the named output is not there, or several could be meant.
        """
        known = ", ".join(map(repr, outputs))
        if self.name is not None:
            if self.name not in outputs:
                raise InputError(
                    f"The model has no output {self.name!r}; it gives {known}.{did_you_mean(self.name, outputs)}"
                )
            return outputs[self.name]
        fitting = list(outputs) if len(outputs) == 1 else [name for name in outputs if self._fits(outputs[name])]
        if len(fitting) != 1:
            raise InputError(f"The model gives {known}; set output_name to the one that holds its {self._what}.")
        return outputs[fitting[0]]

    def translate(self, raw: Any, rows: int) -> Array:
        """Return (rows, classes) float64 probabilities or logits, or (rows,) class numbers or real predictions.

        Args:
            raw: what the model gave for `rows` records: an array, nested lists, or one {class: probability} a record.
            rows: how many records were asked about.

        Raises:
            BadAnswer: the answer is not what `output` says.
        """
        raw = _array(raw)
        flat = raw.shape in ((rows,), (rows, 1)) and not _is_named(raw)
        if not self.classes:
            return self._numbers(raw).reshape(rows) if flat else self._wrong(raw, rows)
        if self.output is Output.LABELS:
            return self._class_numbers(raw) if flat else self._wrong(raw, rows)
        if _is_named(raw):
            raw = self._by_name(raw)
        if flat and _has_labels(raw):
            return self._wrong(raw, rows)
        numbers = self._numbers(raw)
        if flat and len(self.classes) == 2:
            return self._second_class(numbers.reshape(rows))
        return numbers if numbers.shape == (rows, len(self.classes)) else self._wrong(raw, rows)

    @property
    def _what(self) -> str:
        return self.output.value if self.classes else "predictions"

    def _fits(self, raw: Any) -> bool:
        """Whether this may be the output that is meant, judged by its kind and shape."""
        raw = _array(raw)
        if _is_named(raw):
            return bool(self.classes) and self.output is not Output.LABELS
        flat, labels = raw.ndim < 2 or raw.shape[1:] == (1,), _has_labels(raw)
        if not self.classes:
            return flat and not labels
        if self.output is Output.LABELS:
            return flat and labels
        return not labels and (raw.shape[1:] == (len(self.classes),) or (flat and len(self.classes) == 2))

    def _numbers(self, raw: Array) -> Array:
        try:
            return raw.astype(float)
        except (TypeError, ValueError):
            raise BadAnswer(
                f"The model should answer with {self._what}, but its answer begins with {_shown(raw)}; "
                'if these are names of classes, set output = "labels".'
            ) from None

    def _second_class(self, numbers: Array) -> Array:
        """Spell out both classes of a model that only gives the second: its probability, or its logit."""
        first = -numbers / 2 if self.output is Output.LOGITS else 1 - numbers
        return np.stack([first, numbers / 2 if self.output is Output.LOGITS else numbers], axis=1)

    def _by_name(self, raw: Array) -> Array:
        """Order {class: probability} answers by the names of the classes."""
        place = self._class_numbers(np.array(list(raw[0]), dtype=object))
        if sorted(place.tolist()) != list(range(len(self.classes))) or any(set(row) != set(raw[0]) for row in raw):
            raise BadAnswer(
                f"The model answers with the classes {', '.join(map(str, raw[0]))}, but the target is said to have "
                f"{', '.join(self.classes)}; make them equal."
            )
        keys = [key for _, key in sorted(zip(place.tolist(), raw[0], strict=True))]
        return self._numbers(_array([[row[key] for key in keys] for row in raw]))

    def _class_numbers(self, raw: Array) -> Array:
        """Map labels (n,) to class numbers: by name, or by number where the names are words."""
        place = {name: number for number, name in enumerate(self.classes)}
        if not all(re.fullmatch(r"-?\d+", name) for name in self.classes):
            place = {str(number): number for number in range(len(self.classes))} | place
        words = [_word(value) for value in raw.reshape(-1).tolist()]
        strange = next((word for word in words if word not in place), None)
        if strange is not None:
            raise BadAnswer(
                f"The model answered with the class {strange!r}, but the target is said to have "
                f"{', '.join(self.classes)}; give the names of all classes."
            )
        return np.array([place[word] for word in words], dtype=np.int64)

    def _wrong(self, raw: Array, rows: int) -> Array:
        wanted = f"({rows}, {len(self.classes)})" if self.access > Access.LABEL else f"({rows},)"
        kind = f"{list(raw[0])}" if _is_named(raw) else "labels" if _has_labels(raw) else "numbers"
        raise BadAnswer(
            f"The model answered {rows} records with {kind} of shape {raw.shape}, "
            f"not with {self._what} of shape {wanted}; set output, output_name or classes to what it gives."
        )


@dataclass
class ForeignModel(ABC):
    """A model that can only be asked. An adapter inherits this and says how, in `ask`.

    Attributes:
        inputs: what one record looks like.
        meaning: how its answers are read.
    """

    inputs: Images | Table
    meaning: Meaning

    @property
    def access(self) -> Access:
        return self.meaning.access

    @property
    def classes(self) -> tuple[str, ...]:
        return self.meaning.classes

    @abstractmethod
    def ask(self, x: Any) -> Array:
        """Return the translated answer for records x: (n, classes), or (n,) for labels and regression."""

    def labels(self, x: Any) -> Array:
        answer = self.ask(x)
        return answer if answer.ndim == 1 else answer.argmax(axis=1)

    def scores(self, x: Any) -> Array:
        answer = self.ask(x)
        return softmax(answer) if self.meaning.output is Output.LOGITS else answer

    def logits(self, x: Any) -> Array:
        return self.ask(x)


def _array(raw: Any) -> Array:
    """Return nested lists, one {class: probability} a record, or arrays as one array."""
    try:
        return np.asarray(raw)
    except ValueError:
        raise BadAnswer("The model's answer has rows of unequal length; every record needs the same columns.") from None


def _is_named(raw: Array) -> bool:
    return raw.ndim == 1 and len(raw) > 0 and isinstance(raw[0], Mapping)


def _has_labels(raw: Array) -> bool:
    """Whether the values are whole numbers or words, rather than real numbers (of which JSON may lose some as null)."""
    if raw.dtype.kind == "O":
        return not any(value is None or isinstance(value, float) for value in raw.reshape(-1))
    return raw.dtype.kind in "iubUS"


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _shown(raw: Array) -> str:
    return repr(raw.reshape(-1).tolist()[0])[:60] if raw.size else "nothing"
