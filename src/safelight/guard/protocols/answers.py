"""What is left of an answer: scores are hardened, labels pass, and what is neither is not understood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.noise import Noisy
from safelight.guard.policy import Noise
from safelight.guard.protocols.base import NotUnderstood, Question
from safelight.threat import Access

UNDISTURBED = "it holds labels alone, which noise cannot disturb"
CLOSE = 5e-3  # a row of scores in half precision sums to 1 within this
LONGEST = 200  # characters of a label
_FRACTION = re.compile(r"\d[.,:]\d|\d[eE]-\d")


@dataclass
class Reading:
    """One answer while it is read.

    Attributes:
        question: that it answers.
        defence: that hardens scores.
        names: of outputs that may leave, () for any.
        said: what the model said so far, before it was hardened.
        key: hash (n,) uint64 of each record that was asked about, for noise; 0 where there is none.
    """

    question: Question
    defence: OnOutputs
    names: Sequence[str] = ()
    said: list[Array] = field(default_factory=list)
    key: Array = field(init=False)
    noise: Noise | None = field(init=False)
    _disturbed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.defence, Noisy):
            self.noise, self.key = self.defence.noise, self.defence.keys(self.question)
        else:
            self.noise, self.key = None, np.zeros(self.question.records, np.uint64)

    def disturbs(self) -> None:
        """Take note of an output that gets noise; raises NotUnderstood at a second one, for which nothing was paid."""
        if self.noise is not None and self._disturbed:
            raise NotUnderstood("it has two outputs that need noise; let names in [outputs] name one")
        self._disturbed = True

    @property
    def raw(self) -> Array:
        """The scores (n, classes) among what was said, else the first output (n,); (n, 0) where there is none."""
        flat = [values.reshape(-1) for values in self.said if values.ndim == 1 or values.shape[1] == 1]
        wide = [values for values in self.said if values.ndim == 2 and values.shape[1] > 1]
        return next(iter([*wide, *flat]), np.empty((len(self.key), 0)))


def hardened(values: Array, reading: Reading) -> Array | None:
    """Return what is left of one output about n records, or None where none of it may leave.

    Rows (n, k) in [0, 1] that sum to 1 are scores and go through `defence.harden`. Whole numbers and words (n,) or
    (n, 1) are labels and pass. Other numbers (n,) or (n, 1) are predictions of a regressor: `defence.answers`, or not
    understood where only labels may leave. Anything else, embeddings and logits among it, is not understood.

    Where answers get noise, labels do not leave, since none of theirs could be added, numbers (n,) or (n, 1) are
    predictions wherever the policy has their range, and one output gets noise.

    Raises:
        NotUnderstood: it is none of these, or not about n records.
    """
    n = len(reading.key)
    if values.ndim == 0 or len(values) != n:
        raise NotUnderstood(f"it answers {len(values) if values.ndim else 'no'} records, and {n} were asked about")
    single = values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1)
    kind = values.dtype.kind
    if kind in "OU":
        if not single or not all(_is_label(value) for value in values.reshape(-1)):
            raise NotUnderstood("its words are no labels")
        reading.said.append(values)
        return values if reading.noise is None else None
    if kind not in "biuf" or not np.isfinite(values).all():
        raise NotUnderstood("it holds something else than finite numbers and labels")
    if single:
        reading.said.append(values)
        ranged = reading.noise is not None and reading.noise.low is not None and kind != "b"
        if not ranged and (kind != "f" or (values == np.rint(values)).all()):
            return values if reading.noise is None else None
        if reading.noise is not None and not ranged:
            raise NotUnderstood("it is a real number, and noise needs its range: low and high in [outputs.noise]")
        if reading.defence.access < Access.SCORES:
            raise NotUnderstood("it is a real number, which no label stands for")
        reading.disturbs()
        return reading.defence.answers(values.reshape(-1).astype(np.float64), reading.key).reshape(values.shape)
    scores = values.astype(np.float64)
    if not are_scores(scores):
        raise NotUnderstood(f"its numbers of shape {values.shape} are no scores")
    reading.said.append(scores)
    reading.disturbs()
    return reading.defence.harden(scores, reading.key)


def are_scores(values: Array) -> bool:
    """Whether the rows of (n, k) lie in [0, 1] and sum to 1."""
    if values.ndim != 2 or values.shape[1] < 2:
        return False
    return bool(
        values.min(initial=0.0) >= -1e-6
        and values.max(initial=1.0) <= 1 + 1e-6
        and np.abs(values.sum(axis=1) - 1).max(initial=0.0) <= CLOSE
    )


def predictions(found: Any, reading: Reading) -> Any:
    """Return what is left of "predictions": a list about n records, a list of n rows by name, or columns by name."""
    if isinstance(found, list):
        if found and all(isinstance(row, dict) for row in found):
            if any(row.keys() != found[0].keys() for row in found):
                raise NotUnderstood("its rows have different names")
            columns = by_name({name: [row[name] for row in found] for name in found[0]}, reading)
            return [dict(zip(columns, row)) for row in zip(*columns.values())]
        left = hardened(array(found), reading)
        if left is None:
            raise NotUnderstood(UNDISTURBED)
        return left.tolist()
    if isinstance(found, dict):
        return by_name(found, reading)
    raise NotUnderstood("its predictions are neither a list nor a table")


def by_name(columns: Mapping[str, Any], reading: Reading) -> dict[str, list[Any]]:
    """Return what is left of columns by name. Columns of real numbers that sum to 1 in each row are scores together."""
    kept = {name: array(values) for name, values in columns.items() if not reading.names or name in reading.names}
    if not kept:
        raise NotUnderstood("it holds none of the outputs that may leave")
    n = len(reading.key)
    real = [name for name, values in kept.items() if values.dtype.kind == "f" and values.shape == (n,)]
    broken = [name for name in real if not (kept[name] == np.rint(kept[name])).all()]
    left: dict[str, list[Any]] = {}
    for together in (real, broken):
        if len(together) > 1 and are_scores(np.stack([kept[name] for name in together], axis=1)):
            scores = hardened(np.stack([kept[name] for name in together], axis=1), reading)
            assert scores is not None
            left = {name: scores[:, place].tolist() for place, name in enumerate(together)}
            break
    else:
        if len(broken) > 1:
            raise NotUnderstood(f"its {len(broken)} columns of real numbers are no scores")
    for name in [name for name in kept if name not in left]:
        values = hardened(kept[name], reading)
        if values is not None:
            left[name] = values.tolist()
    if not left:
        raise NotUnderstood(UNDISTURBED)
    return {name: left[name] for name in kept if name in left}


def array(values: Any) -> Array:
    """Return a nested list of JSON as an array of numbers, or of words; raises NotUnderstood where it is ragged."""
    try:
        found = np.asarray(values)
    except ValueError:
        raise NotUnderstood("its lists have different lengths") from None
    if found.dtype.kind == "U" and not all(isinstance(value, str) for value in _leaves(values)):
        raise NotUnderstood("it mixes words and numbers")
    if found.dtype.kind not in "biufU":
        raise NotUnderstood("it holds something else than numbers and words")
    return found.astype(object) if found.dtype.kind == "U" else found


def _leaves(values: Any) -> Any:
    if isinstance(values, list):
        for value in values:
            yield from _leaves(value)
    else:
        yield values


def _is_label(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST and not _FRACTION.search(value)
