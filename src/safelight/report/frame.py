"""The report as a tidy table: one row a measurement."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from safelight.measures.base import Measurement
from safelight.report.model import Report

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_FINDING = ("code", "title", "target", "status", "reason", "claim", "about", "unit", "adjacency", "runs")
_OF_NUMBER = tuple(field.name for field in fields(Measurement))


def frame(report: Report) -> DataFrame:
    """Return one row a measurement with its finding's columns; a finding without a number has one row without one."""
    import pandas as pd

    rows = []
    for finding in report.findings:
        facts = {name: getattr(finding, name) for name in _OF_FINDING}
        facts |= {
            "status": str(finding.status),
            "access": finding.threat.access.word,
            "queries": finding.threat.queries,
        }
        facts |= {"p": finding.p, "seed": finding.seed, "accepted": finding.accepted}
        measured = finding.measured or (Measurement("", None),)
        rows += [facts | dict(zip(_OF_NUMBER, astuple(item), strict=True)) for item in measured]
    columns = [*_OF_FINDING, "access", "queries", "p", "seed", "accepted", *_OF_NUMBER]
    numbers = dict.fromkeys(("p", "value", "low", "high", "floor", "control"), "float64")
    return pd.DataFrame(rows, columns=columns).astype({**numbers, "queries": "Int64"})
