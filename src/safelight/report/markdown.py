"""The report as Markdown, for a CI summary or a review."""

from __future__ import annotations

import re

from safelight.report import captions, claims, groups, numbers, plain, promise, remedies, vocabulary, words
from safelight.report.model import Report


def markdown(report: Report) -> str:
    """Return the verdict, the findings and what was not tested as GitHub Markdown; nothing in it can become markup."""
    opening = words.opening(report)
    lines = [
        f"# {vocabulary.SHAPES[report.verdict]} {opening.status}: {_escaped(report.target)}",
        "",
        f"**{_escaped(opening.headline)}** {_escaped(opening.sentence)}",
        "",
        f"- **How sure this is:** {_escaped(opening.confidence)}",
        f"- **First step:** {_escaped(opening.step)}",
        "",
    ]
    if report.findings:
        lines += ["| Status | Attack | In | What was looked for | Result |", "| --- | --- | --- | --- | --- |"]
        lines += [_row(report, number) for number in range(len(report.findings))]
        lines.append("")
    if report.promise is not None:
        lines += [
            f"## {promise.TITLE}",
            "",
            f"**{_escaped(promise.sentence(report))}** {_escaped(promise.meaning(report))}",
            "",
        ]
        lines += [f"- {_escaped(text)}" for text in promise.tests(report)]
        lines += [""] if report.promise.tests else []
    if report.remedies:
        lines += [f"## {remedies.TITLE}", "", _escaped(remedies.opening(report)), ""]
        lines += [f"- {_escaped('; '.join(filter(None, remedies.row(item))))}" for item in report.remedies]
        lines.append("")
    if exposed := groups.lines(report):
        lines += ["## Which groups are more exposed", "", *(f"- {_escaped(text)}" for text in exposed), ""]
    if report.structure:
        lines += ["## What the file itself holds", "", _escaped(captions.structure(report)), ""]
        lines += [f"- {vocabulary.RISKS[item.risk]}: {_escaped(item.sentence)}" for item in report.structure]
        lines.append("")
    lines += ["## What was not tested, and why", "", _escaped(plain.sentence(words.tested(report))), ""]
    lines += [
        f"- **{_escaped(item.code)}** {_escaped(item.title)}: {_escaped(item.reason)}"
        for item in words.not_tested(report)
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(report: Report, number: int) -> str:
    finding = report.findings[number]
    value, label = numbers.headline_number(finding)
    cells = [
        f"{vocabulary.SHAPES[finding.status]} {finding.status}" + (" (accepted)" if finding.accepted else ""),
        _escaped(f"{finding.code} {finding.title}"),
        claims.subject(finding),
        _escaped(plain.sentence(claims.what(finding))),
        _escaped(plain.sentence(f"{value} {label}" if value else finding.reason)),
    ]
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Take the meaning from every character that Markdown or HTML would read as markup."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", re.sub(r"\s+", " ", text))
