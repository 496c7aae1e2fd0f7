"""safelight.toml: the settings of one audit, read strictly. An unknown key is an error with a suggestion."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from safelight.errors import InputError, did_you_mean


@dataclass(frozen=True)
class TargetTable:
    """[target]: what is audited.

    Attributes:
        model: a file, "module:function", "file.py:function", or a URL; for a release the file of the released table.
        kind: "release" for a released table, "anonymised" or synthetic.
        owner: column of that table that names whose row each one is, as `person` does; no attacker gets it.
        trusted: whether a pickle or joblib file may be opened.
        factory: "module:function" that builds the network of a .safetensors file.
        protocol: for URLs: oip or mlflow.
        auth_env: environment variable that holds the authentication header.
        rate: records a second that may be sent to a URL.
        timeout: seconds.
        inexact: for URLs: whether scores arrive cut or rounded, so that they need not sum to 1.
        input_name, output_name: tensors of a served or ONNX model.
        output: what the model answers with; logits for torch and probabilities elsewhere when left out.
        classes: names of the classes, where neither model nor data say them.
        name: for the report.
        base: the model that it was fine-tuned from, named as `model` is; it never saw members or nonmembers.
    """

    model: str
    kind: Literal["model", "release"] = "model"
    owner: str | None = None
    trusted: bool = False
    factory: str | None = None
    protocol: Literal["oip", "mlflow"] = "oip"
    auth_env: str | None = None
    rate: float | None = None
    timeout: float = 30.0
    inexact: bool = False
    input_name: str | None = None
    output_name: str | None = None
    output: Literal["probabilities", "logits", "labels"] | None = None
    classes: list[str] | None = None
    name: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class DataTable:
    """[data]: what it was trained on, and what it never saw. Each group is a file, a folder or "module:function".

    Attributes:
        label: the column to predict (tables).
        sensitive: columns whose values are secrets.
        person: the column that says who a record is about.
        split: "random" if members and nonmembers were drawn at random from one pool.
        class_is_person: whether each class is one person.
        low, high: range of the pixels.
    """

    members: str
    kind: Literal["table", "images"] = "table"
    nonmembers: str | None = None
    public: str | None = None
    label: str | None = None
    sensitive: list[str] = field(default_factory=list)
    person: str | None = None
    split: Literal["random", "unknown"] = "unknown"
    class_is_person: bool = False
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class RecipeTable:
    """[recipe]: how the model is trained again: "module:function" called with (records, seed), or a recipe object."""

    train: str


@dataclass(frozen=True)
class ThreatTable:
    """[threat]: the attacker."""

    access: Literal["label", "scores", "logits", "gradients", "weights"] = "scores"
    queries: int | None = None
    top_k: int | None = None
    decimals: int | None = None
    knows: list[str] = field(default_factory=lambda: ["public", "recipe"])


@dataclass(frozen=True)
class PolicyTable:
    """[policy]: what the owner accepts."""

    fail_on: Literal["leak", "unclear"] = "leak"
    alpha: float = 0.01
    tolerate: float = 0.0
    look_for: float = 0.75


@dataclass(frozen=True)
class ClaimTable:
    """[claim]: a promise of differential privacy, which the audit holds against its coins.

    Attributes:
        epsilon, delta: of the promise.
        unit: what it protects.
        adjacency: neighbouring data sets differ by one record more, or by another value of one.
        dp_sgd: how the model was trained, where known: noise multiplier, sampling rate and steps.
        records_per_person: records that one person owns at most, for coins about whole people.
    """

    epsilon: float
    delta: float
    unit: Literal["record", "person"] = "record"
    adjacency: Literal["add-remove", "replace"] = "add-remove"
    dp_sgd: list[float] | None = None
    records_per_person: int | None = None


@dataclass(frozen=True)
class ReportTable:
    """[report]: whether training records may be shown in it."""

    show_records: bool = False


@dataclass(frozen=True)
class AcceptedEntry:
    """[[accepted]]: a finding that the owner accepts, until a day."""

    code: str
    reason: str
    expires: datetime.date | None = None


@dataclass(frozen=True)
class Config:
    """A whole safelight.toml.

    Attributes:
        folder: where its relative paths start.
        attacks: [attacks.CODE], settings of single attacks; checked when the attacks are made.
    """

    target: TargetTable
    data: DataTable
    folder: Path
    recipe: RecipeTable | None = None
    threat: ThreatTable = field(default_factory=ThreatTable)
    policy: PolicyTable = field(default_factory=PolicyTable)
    claim: ClaimTable | None = None
    report: ReportTable = field(default_factory=ReportTable)
    accepted: tuple[AcceptedEntry, ...] = ()
    attacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


TABLES = {
    "target": TargetTable,
    "data": DataTable,
    "recipe": RecipeTable,
    "threat": ThreatTable,
    "policy": PolicyTable,
    "claim": ClaimTable,
    "report": ReportTable,
}


def read_config(path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """Read safelight.toml, or [tool.safelight] of a pyproject.toml.

    Args:
        path: the file.
        changes: table -> key -> value, from flags or the environment; they win over the file.

    Raises:
        InputError: the file is missing or no TOML, a key is unknown or missing, a value has another type.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        raise InputError(
            f"There is no file {path}; write one with `safelight init`, or name it with --config."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from None
    if path.name == "pyproject.toml":
        document = document.get("tool", {}).get("safelight", {})
    return parse_config(document, path.parent, str(path), changes)


def parse_config(
    document: Mapping[str, Any], folder: Path, where: str, changes: Mapping[str, Mapping[str, Any]] | None = None
) -> Config:
    """Turn a parsed TOML document into settings; see `read_config`."""
    known = [*TABLES, "accepted", "attacks"]
    for key in document:
        if key not in known:
            raise InputError(f"{where} has an unknown table [{key}].{did_you_mean(key, known)}")
    tables: dict[str, Any] = {}
    for name, kind in TABLES.items():
        content = {**document.get(name, {}), **(changes or {}).get(name, {})}
        if content or name in ("target", "data"):
            tables[name] = _table(kind, content, f"{where}, [{name}]")
    accepted = tuple(_table(AcceptedEntry, entry, f"{where}, [[accepted]]") for entry in document.get("accepted", []))
    attacks = document.get("attacks", {})
    for values in attacks.values() if isinstance(attacks, dict) else [attacks]:
        if not isinstance(values, dict):
            raise InputError(f"{where}, [attacks] holds {values!r}; write tables such as [attacks.V002] in it.")
    return Config(folder=folder, accepted=accepted, attacks=attacks, **tables)


def _table(kind: type, content: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    for key in content:
        if key not in hints:
            raise InputError(f"{where} has an unknown key {key!r}.{did_you_mean(key, hints)}")
    for item in fields(kind):
        if item.name not in content and item.default is MISSING and item.default_factory is MISSING:
            raise InputError(f"{where} needs the key {item.name!r}.")
    return kind(**{key: _value(value, hints[key], f"{where}, {key}") for key, value in content.items()})


def _value(value: Any, hint: Any, where: str) -> Any:
    """Check a TOML value against a type; a whole number may stand for a real one."""
    allowed = [each for each in get_args(hint) if each is not type(None)] if type(None) in get_args(hint) else [hint]
    for each in allowed:
        if get_origin(each) is Literal:
            if value in get_args(each):
                return value
            raise InputError(
                f"{where} is {value!r}; use one of {', '.join(map(repr, get_args(each)))}."
                f"{did_you_mean(str(value), [str(word) for word in get_args(each)])}"
            )
        if each is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if get_origin(each) is list:
            kinds = (int, float) if get_args(each) == (float,) else get_args(each)
            if isinstance(value, list) and all(isinstance(item, kinds) and item is not True for item in value):
                return list(value)
        elif isinstance(value, each) and (each is not int or not isinstance(value, bool)):
            return value
    names = " or ".join(_LISTS[get_args(each)[0]] if get_origin(each) is list else each.__name__ for each in allowed)
    raise InputError(f"{where} is {value!r}; it must be {names}.")


_LISTS = {str: "a list of words", float: "a list of numbers"}
