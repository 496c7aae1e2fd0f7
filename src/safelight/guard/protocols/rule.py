"""A server's own JSON, read by the rule that guard.toml gives: every leaf of a question lies under one of its paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.columns import Names
from safelight.guard.jsonpath import NOTHING, JsonRule, Path, Place, kept, path_of_text, places, put, uncovered
from safelight.guard.protocols.answers import LONGEST, Reading, array, by_name
from safelight.guard.protocols.base import (
    JSON,
    SEGMENT,
    NotUnderstood,
    Question,
    Written,
    anything,
    dumps,
    laid_out,
    table,
)
from safelight.guard.protocols.mlflow import is_json, rows


class ByRule:
    """What the rule finds is read; a question that holds more is not understood, and of an answer no more leaves.

    Args:
        rule: of guard.toml. It lists the outputs itself, so `names` are not asked.
    """

    def __init__(self, rule: JsonRule) -> None:
        self._path = re.compile(re.escape(rule.path).replace(re.escape("{model}"), f"({SEGMENT})", 1))
        self._health = frozenset(rule.health)
        self._records = [path_of_text(text) for text in rule.records]
        self._also_asked = [path_of_text(text) for text in rule.also_asked]
        self._asked = self._records + self._also_asked
        self._answers = {text: path_of_text(text) for text in (*rule.answers, *rule.labels)}
        self._labels = frozenset(rule.labels)
        self._also = [path_of_text(text) for text in rule.also_answered]

    def asked(self, path: str) -> str | None:
        found = self._path.fullmatch(path)
        return None if found is None else found[1] if found.groups() else ""

    def described(self, path: str) -> bool:
        return path in self._health

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content = anything(body)
        stray = uncovered(content, self._asked)
        if stray is not None:
            raise NotUnderstood(f"it holds {str(stray[0])[:40]!r}, which no path covers" if stray else "it is empty")
        parts = [rows(_values(content, path)[0]) for path in self._records]
        if len({len(part) for part, _ in parts}) != 1:
            raise NotUnderstood("its parts are about different numbers of records")
        x = table([part for part, _ in parts])
        return Question(len(x), x, dumps(content), JSON, names=_fields(parts), beside=lambda: self._beside(content))

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        left = kept(anything(body), [*self._answers.values(), *self._also])
        if left is NOTHING:
            raise NotUnderstood("it holds nothing that may leave")
        for path in self._also:
            for _, value in places(left, path):
                if not _says_little(value):
                    raise NotUnderstood("it holds a real number, a long text or a list that no path of answers finds")
        columns: dict[str, Any] = {}
        stands: dict[str, tuple[list[Place], list[str]]] = {}
        for text, path in self._answers.items():
            values, found = _values(left, path)
            if not found:
                continue
            values, classes = _as_lists(values)
            if text in self._labels and not _are_labels(values):
                raise NotUnderstood("it holds numbers where the rule has labels")
            columns[text], stands[text] = values, (found, classes)
        reading = Reading(question, defence)
        hardened = by_name(columns, reading)
        if hardened.keys() != columns.keys():
            raise NotUnderstood("it holds labels, which would leave without noise")
        for text, column in hardened.items():
            found, classes = stands[text]
            said = [dict(zip(classes, row)) for row in column] if classes else column
            if None in self._answers[text]:
                for place, value in zip(found, said):
                    left = put(left, place, value)
            else:
                left = put(left, found[0], said)
        return Written(dumps(left), JSON, reading.raw)

    def _beside(self, content: Any) -> Any:
        """Return what of a question may change its answers, beside the values of its records."""
        found = [_values(content, path) for path in self._records]
        firsts = [(laid_out(next(iter(values), None)), _members(stand)) for values, stand in found]
        return firsts, [list(places(content, path)) for path in self._also_asked]


def _members(stand: Sequence[Place]) -> list[Place]:
    """Return the members of objects that records stand in, of each record where not all stand alike."""
    named = [tuple(step if isinstance(step, str) else 0 for step in place) for place in stand]
    return named if len(set(named)) > 1 else named[:1]


def _fields(parts: Sequence[tuple[Array, Names]]) -> Names:
    """Return a name for each value of some parts, which stand in the order of the rule's paths; () where none has one.

    Of several parts each name begins with the number of its part, so that the same name in two of them is two names.
    """
    if len(parts) == 1 or not any(names for _, names in parts):
        return parts[0][1]
    found: list[str] = []
    for number, (part, names) in enumerate(parts):
        found += [f"{number}.{name}" for name in names or range(part.shape[1])]
    return tuple(found)


def _values(content: Any, path: Path) -> tuple[Any, list[Place]]:
    """Return the values of all records, and where they stand (one place where they are one list)."""
    matches = list(places(content, path))
    if None in path:
        return [value for _, value in matches], [place for place, _ in matches]
    return (matches[0][1] if matches else []), [place for place, _ in matches]


def _as_lists(values: Any) -> tuple[Any, list[str]]:
    """Return scores by class as rows, and the names of the classes; others as they are, and no names."""
    if not isinstance(values, list):
        raise NotUnderstood("its answers are no list")
    if not values or not isinstance(values[0], dict):
        return values, []
    classes = list(values[0])
    if not classes or any(not isinstance(row, dict) or row.keys() != values[0].keys() for row in values):
        raise NotUnderstood("its rows have different names")
    return [[row[name] for name in classes] for row in values], classes


def _are_labels(values: Any) -> bool:
    found = array(values)
    return found.dtype.kind != "f" or bool((np.isfinite(found) & (found == np.rint(found))).all())


def _says_little(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return value is None or isinstance(value, (bool, int)) or (isinstance(value, str) and len(value) <= LONGEST)
