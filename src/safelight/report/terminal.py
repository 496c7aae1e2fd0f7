"""What stands in the terminal at the end: the verdict, the three worst findings, what was not run, what to do next."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import IO

from safelight.report import groups, numbers, plain, promise, vocabulary, words
from safelight.report.model import Report
from safelight.verdict.finding import Finding, Status, Verdict

_MARGIN = 9
_WORST = 3


def summary(report: Report, path: Path | None = None, width: int = 100) -> str:
    """Return the closing lines as plain text, with the path of the report when there is one."""
    return "\n".join(_line(label, text, width) for label, text in _rows(report, path))


def show(report: Report, path: Path | None = None, stream: IO[str] | None = None, color: bool = True) -> None:
    """Print the closing lines, in colour on a terminal unless NO_COLOR is set or `color` is False."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, no_color=True if not color else None, highlight=False, soft_wrap=True)
    alarm = report.verdict in (Verdict.LEAK, Verdict.BROKEN)
    styles = {"verdict": "bold red" if alarm else "bold", "label": "bold"}
    console.print(_fitting("─" * min(console.width, 100), console.encoding), style="dim")
    for number, (label, text) in enumerate(_rows(report, path)):
        line = Text(_fitting(_line(label, text, min(console.width, 100)), console.encoding))
        if label:
            line.stylize(styles["verdict" if number == 0 else "label"], 0, len(label))
        console.print(line)


def _rows(report: Report, path: Path | None) -> list[tuple[str, str]]:
    opening = words.opening(report)
    label = f"{vocabulary.SHAPES[report.verdict]} {opening.status.upper()}"
    rows = [(label, f"{opening.headline} {opening.sentence}".strip())]
    rows += [("Sure", opening.confidence), ("First", opening.step)]
    rows += [("Worst" if not number else "", _brief(item)) for number, item in enumerate(worst(report))]
    if report.promise is not None:
        rows.append(("Promise", promise.sentence(report)))
    told = groups.lines(report) if any(groups.exposed(item) for item in report.rows.values()) else []
    if told:
        rows.append(("Groups", next(line for line in told if "More exposed" in line)))
    risks = [item.sentence for item in report.structure if item.risk]
    if risks:
        rows.append(("File", f"{plain.several(len(risks), 'risk')} in what the file itself holds. {risks[0]}"))
    untested = words.not_tested(report)
    if untested:
        named = "; ".join(f"{item.code}: {plain.bare(item.reason)}" for item in untested[:2])
        more = f"; and {len(untested) - 2} more, all in the report" if len(untested) > 2 else ""
        counted = plain.several(words.missing(report), "claim or attack", "claims or attacks")
        rows.append(("Not run", f"{counted}. {named}{more}."))
    rows.append(("Next", _next(report, path)))
    return rows


def worst(report: Report) -> tuple[Finding, ...]:
    """Return the three findings to look at first: leaks, then what is unclear; none of a broken audit."""
    if report.verdict is Verdict.BROKEN:
        return ()
    return (*words.leaks(report), *words.with_status(report, Status.UNCLEAR))[:_WORST]


def _brief(finding: Finding) -> str:
    value, label = numbers.headline_number(finding)
    carrier = numbers.carrying(finding)
    interval = vocabulary.interval(carrier) if carrier is not None else ""
    parts = [f"{vocabulary.SHAPES[finding.status]} {finding.code} {finding.title} ({finding.claim}, {finding.about})"]
    parts.append(" ".join(part for part in (value, label, interval) if part) or plain.bare(finding.reason))
    if finding.who:
        parts.append(f"who: {plain.bare(finding.who)}")
    if finding.accepted:
        parts.append(f"accepted: {plain.bare(finding.accepted)}")
    return " · ".join(parts)


def _next(report: Report, path: Path | None) -> str:
    steps = [f"safelight explain {item.code}" for item in worst(report)[:1]]
    if report.verdict is Verdict.INCOMPLETE:
        steps.append("the same command with --resume")
    steps.append('report.save("report.html")' if path is None else str(path))
    return " · ".join(steps)


def _line(label: str, text: str, width: int) -> str:
    first = label.ljust(_MARGIN) if len(label) < _MARGIN else f"{label}  "
    return textwrap.fill(
        text,
        width=max(width, 40),
        initial_indent=first,
        subsequent_indent=" " * _MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fitting(text: str, encoding: str) -> str:
    """Put "?" for what this terminal cannot print, instead of failing on it."""
    return text.encode(encoding, errors="replace").decode(encoding)
