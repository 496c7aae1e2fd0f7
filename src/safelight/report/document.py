"""report.json: the report as plain values, and back. No clock and no NaN in it; report.schema.json describes it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from safelight.attacks.disclosure.observation import Observation
from safelight.data.gate import GateResult
from safelight.errors import InputError
from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.measures.trade_off import DpSgd
from safelight.report.model import AtRisk, Curve, Growth, Likeness, Remedy, Report, Roc, Rung, Skipped
from safelight.report.pictures import read_pictures
from safelight.threat import Access, Knows, Observes, ThreatModel
from safelight.verdict.dp_claim import Answer, DpAnswer, DpClaim, Tested
from safelight.verdict.finding import Finding, Status, Verdict

SCHEMA_VERSION = "1.3"
"""Grows in its second number when something is added, in its first when something is renamed or taken away."""


def to_document(report: Report) -> dict[str, Any]:
    """Return everything of a report but its pictures, as values that JSON knows; NaN and infinity become null."""
    facts = {
        field.name: _plain(getattr(report, field.name))
        for field in dataclasses.fields(report)
        if field.name != "pictures"
    }
    return {"schema_version": SCHEMA_VERSION, **facts}


def to_json(report: Report) -> str:
    """Return report.json: the same text for the same report."""
    return json.dumps(to_document(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every report.json follows."""
    return json.loads(files("safelight.report").joinpath("report.schema.json").read_text("utf-8"))


def from_document(document: Mapping[str, Any], folder: Path) -> Report:
    """Build the report again; its pictures are read from evidence/pictures.npz under `folder`.

    Raises:
        InputError: the document is of another version, or a part is missing or unknown.
    """
    if not isinstance(document, Mapping):
        raise InputError("This is no report: it is not a JSON object; give the report.json of an audit.")
    version = str(document.get("schema_version", "none"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise InputError(
            f"This report has schema_version {version} and this Safelight reads {SCHEMA_VERSION}; "
            "use the Safelight that wrote it, or audit again."
        )
    try:
        return _report(document, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"report.json cannot be read ({type(error).__name__}: {error}); audit again to write it."
        ) from None


def read(path: Path) -> Report:
    """Read a report.json, or the one in a folder.

    Raises:
        InputError: there is no such file, or it is no report.
    """
    path = path / "report.json" if path.is_dir() else path
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the folder of an audit.") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); give the report.json of an audit.") from None
    return from_document(document, path.parent)


def _report(document: Mapping[str, Any], folder: Path) -> Report:
    facts = {key: value for key, value in document.items() if key != "schema_version"}
    facts |= {
        "verdict": Verdict(document["verdict"]),
        "findings": tuple(_finding(item) for item in document["findings"]),
        "threat": _threat(document["threat"]),
        "ladder": tuple(Rung(**item) for item in document["ladder"]),
        "gate": None if document["gate"] is None else GateResult(**document["gate"]),
        "curves": tuple(Curve(**_tupled(item)) for item in document["curves"]),
        "rocs": tuple(Roc(**_tupled(item)) for item in document["rocs"]),
        "at_risk": tuple(AtRisk(**item) for item in document["at_risk"]),
        "likeness": None if document["likeness"] is None else Likeness(**_tupled(document["likeness"])),
        "skipped": tuple(Skipped(**item) for item in document["skipped"]),
        "structure": tuple(Observation(**item) for item in document["structure"]),
        "references": tuple(Growth(**item) for item in document["references"]),
        "rows": {
            code: {name: tuple(Measurement(**item) for item in row) for name, row in rows.items()}
            for code, rows in document["rows"].items()
        },
        "promise": _promise(document.get("promise")),
        "remedies": tuple(Remedy(**item) for item in document.get("remedies", ())),
    }
    return Report(**facts, pictures=read_pictures(folder))


def _finding(item: Mapping[str, Any]) -> Finding:
    return Finding(
        **{
            **item,
            "status": Status(item["status"]),
            "threat": _threat(item["threat"]),
            "measured": tuple(Measurement(**number) for number in item["measured"]),
            "evidence": {Role(role): sha256 for role, sha256 in item["evidence"].items()},
        }
    )


def _promise(item: Mapping[str, Any] | None) -> DpAnswer | None:
    if item is None:
        return None
    stated = item["claim"]
    mechanism = None if stated["mechanism"] is None else DpSgd(**stated["mechanism"])
    return DpAnswer(
        DpClaim(**{**stated, "mechanism": mechanism}),
        Answer(item["answer"]),
        tuple(Tested(**test) for test in item["tests"]),
        item["level"],
        tuple(item["assumed"]),
    )


def _threat(item: Mapping[str, Any]) -> ThreatModel:
    return ThreatModel(
        **{
            **item,
            "access": Access.named(item["access"]),
            "observes": Observes(item["observes"]),
            "knows": frozenset(Knows(word) for word in item["knows"]),
        }
    )


def _tupled(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def _plain(value: Any) -> Any:
    """Turn facts into what JSON knows: dataclasses by field, enums by word, numbers that are none into null."""
    if isinstance(value, Access):
        return value.word
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)
