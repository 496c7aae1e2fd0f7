"""SARIF 2.1.0, for code-scanning views: one rule an attack, one result a finding."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from safelight.report import claims
from safelight.report.model import Report
from safelight.verdict.finding import Finding, Status

_KINDS = {
    Status.LEAK: ("fail", "error"),
    Status.UNCLEAR: ("review", "none"),
    Status.NONE: ("pass", "none"),
    Status.NOT_RUN: ("notApplicable", "none"),
}
"""SARIF allows a level other than "none" only where the kind is "fail"."""


def to_sarif(report: Report) -> str:
    """Return the SARIF log; the place of every result is the audited model, since viewers want a file."""
    rules: dict[str, dict[str, Any]] = {}
    for finding in report.findings:
        rules.setdefault(finding.code, _rule(finding))
    codes = list(rules)
    driver: dict[str, Any] = {"name": "safelight", "rules": list(rules.values())}
    if "safelight" in report.versions:
        driver["version"] = report.versions["safelight"]
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "results": [_result(item, codes.index(item.code), report) for item in report.findings],
                "properties": {"verdict": str(report.verdict), "seed": report.seed},
            }
        ],
    }
    return json.dumps(log, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": finding.code, "name": finding.title, "shortDescription": {"text": finding.title}}
    if finding.source:
        rule["fullDescription"] = {"text": finding.source}
    if finding.remedy:
        rule["help"] = {"text": finding.remedy}
    return rule


def _result(finding: Finding, rule: int, report: Report) -> dict[str, Any]:
    kind, level = _KINDS[finding.status]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": claims.whole(finding, report.policy)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(finding.target)}}}],
        "partialFingerprints": {"claim": "/".join((finding.code, finding.claim, finding.about, finding.target))},
    }
    if finding.accepted:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted}]
    return result


def _uri(name: str) -> str:
    return quote(name, safe="/:._-")
