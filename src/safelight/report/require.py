"""Whether a report may pass, and if not, why: in one sentence that a build log can show."""

from __future__ import annotations

from typing import Any

from safelight.errors import InputError, PolicyFailed, did_you_mean
from safelight.report import numbers, plain, vocabulary, words
from safelight.report.model import Report
from safelight.verdict.finding import Finding, Status, Verdict

_LEVELS = ("leak", "unclear")


def require(report: Report, policy: Any = None) -> None:
    """Raise PolicyFailed if the report holds what the policy forbids; see `Report.require`."""
    level = str(report.policy.get("fail_on", "leak") if policy is None else policy.fail_on)
    if level not in _LEVELS:
        raise InputError(f"fail_on is {level!r}; use one of {', '.join(_LEVELS)}.{did_you_mean(level, _LEVELS)}")
    if report.verdict is Verdict.BROKEN:
        raise PolicyFailed(
            f"The audit of {report.target} is broken ({plain.bare(report.broken)}); mend it and audit again."
        )
    failed = failing(report, level)
    if failed:
        raise PolicyFailed(_sentence(failed[0], len(failed) - 1))
    if report.verdict is Verdict.INCOMPLETE or not words.ran(report):
        why = plain.bare(report.incomplete) or "no attack came to its end"
        raise PolicyFailed(f"The audit of {report.target} is incomplete ({why}); run it again before relying on it.")


def failing(report: Report, level: str) -> tuple[Finding, ...]:
    """Return the findings that fail at this level, leaks first; accepted ones do not."""
    unclear = words.with_status(report, Status.UNCLEAR) if level == "unclear" else ()
    return tuple(finding for finding in (*words.leaks(report), *unclear) if not finding.accepted)


def _sentence(finding: Finding, others: int) -> str:
    value, label = numbers.headline_number(finding)
    carrier = numbers.carrying(finding)
    interval = vocabulary.interval(carrier) if carrier is not None else ""
    number = f": {value} {label}" if value else ""
    number += f", {vocabulary.term(carrier.name).label} {interval}" if carrier is not None and interval else ""
    ended = "is a leak" if finding.status is Status.LEAK else f"is unclear ({plain.bare(finding.reason)})"
    more = f" ({plain.several(others, 'more claim')} failed as well)" if others else ""
    remedy = plain.bare(finding.remedy) or f"see safelight explain {finding.code}"
    return f"{finding.code} {finding.title} on {finding.target} {ended}{number}{more}; what lowers it: {remedy}."
