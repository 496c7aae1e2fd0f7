"""MLflow's `POST /invocations` as JSON: dataframe_split, dataframe_records, instances, inputs.

Source: mlflow.org/docs, "Deploy MLflow Model as a Local Inference Server". CSV is not read: columns of text have more
than one reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.defences.outputs.base import OnOutputs
from safelight.guard.columns import Names, named
from safelight.guard.protocols.answers import Reading, array, predictions
from safelight.guard.protocols.base import (
    JSON,
    NotUnderstood,
    Question,
    Written,
    dumps,
    laid_out,
    loads,
    once_each,
    only,
    table,
)

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class Mlflow:
    """MLflow's scoring server."""

    def asked(self, path: str) -> str | None:
        return "" if path == "/invocations" else None

    def described(self, path: str) -> bool:
        return path in ("/ping", "/health", "/version")

    def question(self, body: bytes, headers: Mapping[str, str], names: Sequence[str]) -> Question:
        if not is_json(headers):
            raise NotUnderstood("it is no JSON")
        content = loads(body)
        only(content, FORMATS, "the question")  # params change what a model answers, and are its own affair
        if len(content) != 1:
            raise NotUnderstood(f"it holds {len(content)} of {', '.join(FORMATS)}")
        [(name, records)] = content.items()
        read = {"dataframe_split": _split, "dataframe_records": rows, "instances": rows, "inputs": _inputs}[name]
        x, fields = read(records)
        return Question(len(x), x, dumps(content), JSON, names=fields, beside=lambda: _beside(name, records))

    def answer(
        self, question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
    ) -> Written:
        return answer(question, body, headers, defence, names)


def answer(
    question: Question, body: bytes, headers: Mapping[str, str], defence: OnOutputs, names: Sequence[str]
) -> Written:
    """Return what is left of {"predictions": ...}; anything beside the predictions is left out."""
    if not is_json(headers):
        raise NotUnderstood("it is no JSON")
    content = loads(body)
    if "predictions" not in content:
        raise NotUnderstood("it holds no predictions")
    reading = Reading(question, defence, names)
    left = predictions(content["predictions"], reading)
    return Written(dumps({"predictions": left}), JSON, reading.raw)


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether the type of a body is JSON, or not said."""
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    return kind == "application/json"


def rows(records: Any) -> tuple[Array, Names]:
    """Return a list of records (n, values), lists, numbers, or objects that all have the same keys; and their names."""
    if not isinstance(records, list) or not records:
        raise NotUnderstood("it asks about no list of records")
    if isinstance(records[0], dict):
        names = records[0].keys()
        if any(not isinstance(record, dict) or record.keys() != names for record in records):
            raise NotUnderstood("its records have different fields")
        return columns({name: [record[name] for record in records] for name in names})
    return table([array(records)]), ()


def columns(found: Mapping[str, Any]) -> tuple[Array, Names]:
    """Return lists of one length, by name, as (n, values), and a name for each; values that are missing stay None."""
    parts = []
    for values in found.values():
        if not isinstance(values, list) or not values:
            raise NotUnderstood("one of its fields is no list of values")
        if any(value is None for value in values) or _mixed(values):
            parts.append(np.fromiter(values, dtype=object, count=len(values)))
        else:
            parts.append(array(values))
    if not parts or len({len(part) for part in parts}) != 1:
        raise NotUnderstood("its fields have different lengths, or it has none")
    return table(parts), once_each(named(list(found), parts))


def _beside(name: str, records: Any) -> Any:
    """Return what of a question may change its answers, beside the values: its format and its fields."""
    if name == "dataframe_split":
        first, called, index = records["data"][0], records.get("columns"), records.get("index")
        labels = [] if index is None or repr(index) == repr([*range(len(index))]) else [index]
        if called is None:
            return "rows", [isinstance(value, list) and laid_out(value) for value in first], *labels
        odd = [repr(name) for name in called if not isinstance(name, str)]  # to pandas, 1 is not "1"
        return "table", laid_out(dict(zip(map(str, called), first))), *sorted(odd), *labels
    if isinstance(records, dict):
        return name, "by field", laid_out({field: values[0] for field, values in records.items()})
    return "table" if name == "dataframe_records" else name, laid_out(records[0])


def _mixed(values: list[Any]) -> bool:
    words = [isinstance(value, str) for value in values]
    simple = all(isinstance(value, (str, int, float, bool)) for value in values)
    return simple and any(words) and not all(words)


def _split(records: Any) -> tuple[Array, Names]:
    if not isinstance(records, dict):
        raise NotUnderstood("dataframe_split is no object")
    only(records, ("columns", "index", "data"), "dataframe_split")
    names, data = records.get("columns"), records.get("data")
    if names is not None and not isinstance(names, list):
        raise NotUnderstood("the columns of dataframe_split are no list")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise NotUnderstood("dataframe_split holds no rows")
    width = len(names) if isinstance(names, list) else len(data[0])
    if not width or any(len(row) != width for row in data):
        raise NotUnderstood("the rows of dataframe_split do not fit its columns")
    if "index" in records and (not isinstance(records["index"], list) or len(records["index"]) != len(data)):
        raise NotUnderstood("the index of dataframe_split does not fit its rows")
    called = [str(name) for name in names] if isinstance(names, list) else [str(place) for place in range(width)]
    if len(set(called)) != width:
        raise NotUnderstood("dataframe_split has two columns of one name")
    x, fields = columns({name: [row[place] for row in data] for place, name in enumerate(called)})
    return x, fields if isinstance(names, list) else ()


def _inputs(records: Any) -> tuple[Array, Names]:
    if isinstance(records, dict):
        return columns(records)
    return rows(records)
