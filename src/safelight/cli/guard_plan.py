"""Turn the leak against queries of an audit into limits of the guard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from safelight.errors import InputError
from safelight.threat import Access, Observes

if TYPE_CHECKING:
    from safelight.guard.plan import Plan, Point
    from safelight.report.model import Report
    from safelight.tradeoff.limit import Limit
    from safelight.verdict.finding import Finding


def plan(
    reports: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    limit: str,
    clients: int | None = None,
    collude: int = 1,
) -> int:
    """Print [budget] and [outputs] that keep the attacks of an audit under a limit, or say that no budget does.

    A budget is a lifetime: questions that each client may ever ask. The upper limit of each attack's success counts
    (95 %), and all questions of clients that work together are taken to be about one secret. Put the lines in
    place of [budget] and [outputs] in guard.toml. Exit codes: 0 a budget keeps to the limit, 1 none does, 2 bad input.

    Args:
        reports: report.json of one audit of the model, or more: other query budgets draw the curve more finely, and
            coarser outputs show what those buy.
        limit: share of right guesses that is still borne, in percent: "re-identification among 40 <= 10 %" (which of 40
            people it is; guessing has 2.5 %), "attribute <= 60 %" or "membership <= 55 %" (one of two; guessing has
            50 %).
        clients: number of all clients; the plan then says how many questions they can ask together, and is the same.
        collude: number of clients that may pool what they learn (1 or more); they share one budget.
    """
    from safelight.guard.plan import plan as planned
    from safelight.report.document import read
    from safelight.tradeoff.limit import limit_of

    asked, loaded = limit_of(limit), [read(path) for path in reports]
    if collude < 1 or (clients is not None and clients < collude):
        raise InputError(f"--collude is {collude} and --clients {clients}; give 1 to as many as there are.")
    tried: list[tuple[Audited, Plan]] = []
    for group in _groups(loaded):
        points, inside = _points(group.reports, asked)
        if points:
            tried.append((group, planned(points, asked.k, asked.share)))
        group.inside.extend(inside)
    if not tried:
        raise InputError(f"No report holds coins that speak of {asked.what}; audit with attacks that ask it.")
    best = max(tried, key=lambda each: each[1].queries or 0)
    lines = [line for each in tried for line in _table(*each, asked)]
    lifetime = best[1].lifetime(collude)
    lines += _said(*best, clients, collude)
    if lifetime is None:
        lines += _instead([group for group, _ in tried], asked)
    print("\n".join(lines))
    return 1 if lifetime is None else 0


@dataclass
class Audited:
    """Audits with the same outputs.

    Attributes:
        reports: of them.
        outputs: lines of [outputs].
        inside: codes of attacks that need more than answers; no limit of the guard stops those.
    """

    reports: list[Report]
    outputs: tuple[str, ...]
    inside: list[str]


def _groups(reports: Sequence[Report]) -> list[Audited]:
    if len({report.target for report in reports}) > 1:
        names = ", ".join(sorted({report.target for report in reports}))
        raise InputError(f"The reports are of {names}; give those of one model.")
    found: dict[tuple[str, ...], Audited] = {}
    for report in reports:
        if str(report.verdict) == "audit broken":
            raise InputError(f"The audit of {report.target} is broken ({report.broken}); audit again.")
        threat = report.threat
        lines = ["label_only = true"] if threat.access <= Access.LABEL else []
        lines += [f"top_k = {threat.top_k}"] if threat.top_k is not None else []
        lines += [f"decimals = {threat.decimals}"] if threat.decimals is not None else []
        found.setdefault(tuple(lines), Audited([], tuple(lines), [])).reports.append(report)
    return list(found.values())


def _points(reports: Sequence[Report], limit: Limit) -> tuple[list[Point], list[str]]:
    """Return what the attacks through the door found, and the codes of those that need more than answers."""
    points: list[Point] = []
    inside: dict[str, None] = {}
    for report in reports:
        for finding in report.findings:
            if finding.claim not in limit.claims or finding.about != "recipe" or finding.number("guesses") is None:
                continue
            if finding.threat.access > Access.SCORES or finding.threat.observes is not Observes.QUERIES:
                inside[finding.code] = None
                continue
            points += _of(report, finding)
    return points, list(inside)


def _of(report: Report, finding: Finding) -> Iterator[Point]:
    from safelight.guard.plan import Point

    labels = finding.threat.access <= Access.LABEL
    for curve in report.curves:
        if curve.code == finding.code:
            for queries, right in zip(curve.queries, curve.right):
                yield Point(curve.code, queries, right, curve.coins, curve.k, labels)
    numbers = {name: finding.number(name) for name in ("coins", "guesses", "success")}
    coins, guesses, success = ((each and each.value) or 0 for each in numbers.values())
    if not guesses or report.threat.queries is None:
        return  # without a budget nothing says how many questions it took
    k = round(1 / chance) if (chance := numbers["success"] and numbers["success"].control) else 2
    each_run = max(1.0, coins / max(1, finding.runs))
    yield Point(finding.code, max(1, int(report.threat.queries // each_run)), round(success * guesses), int(guesses), k,
                labels)  # fmt: skip


def _table(group: Audited, plan: Plan, limit: Limit) -> list[str]:
    first = group.reports[0]
    head = f"{'questions a secret':>18}  {'strongest':<9}  {'right of':>9}  found among {limit.k}, at most"
    lines = [f"# {first.target}, {', '.join(group.outputs) or 'outputs as they are'}: {limit}", f"# {head}"]
    for row in plan.rows:
        point = row.point
        over = "" if row.found <= limit.share else "  over the limit"
        more = f" (asked {point.queries})" if point.queries != row.queries else ""
        lines.append(f"# {row.queries:>18}  {point.code:<9}  {f'{point.right}/{point.guesses}':>9}  "
                     f"{100 * row.found:.1f} %{over}{more}")  # fmt: skip
    return [*lines, "#"]


def _said(group: Audited, plan: Plan, clients: int | None, collude: int) -> list[str]:
    each = plan.lifetime(collude)
    if each is None and plan.queries:
        return [f"# {plan.queries} questions about one secret keep to it, and {collude} clients together have more."]
    if each is None:
        return ["# No number of questions that was tried keeps to it."]
    whose = f"{collude} clients together spend theirs" if collude > 1 else "a client spends all of its own"
    lines = [f"# {plan.queries} questions about one secret keep to it. It is assumed that {whose} on one",
             "# secret. What was learnt does not wear off, so that this is for life."]  # fmt: skip
    if clients is not None:
        most = (plan.queries or 0) // each
        lines.append(
            f"# All {clients} clients can ask {clients * each} in all. Where more than {most} work together on one"
        )
        lines.append("# secret, nothing is known of the leak.")
    lines += [f"# {code} needs more than answers, and no budget stops it." for code in dict.fromkeys(group.inside)]
    lines += ["# This holds for the attacks of the audit. It is no guarantee.", "[budget]", f"lifetime = {each}"]
    return [*lines, *(["", "[outputs]", *group.outputs] if group.outputs else [])]


def _instead(groups: Sequence[Audited], limit: Limit) -> list[str]:
    """Say what else could keep to the limit, as far as the reports know."""
    from safelight.guard.plan import Point
    from safelight.guard.plan import plan as planned

    lines: list[str] = []
    for group in groups:
        points, _ = _points(group.reports, limit)
        alone = [point for point in points if point.labels]
        if alone and len(alone) < len(points) and planned(alone, limit.k, limit.share).queries:
            lines.append('# Attacks that need labels alone keep to it: audit with access = "label", and give that too.')
        for remedy in (remedy for report in group.reports for remedy in report.remedies):
            if remedy.claim in limit.claims and remedy.guesses:
                found = Point(remedy.code, 1, remedy.right, remedy.guesses, 2).found(limit.k)
                if found <= limit.share:
                    lines.append(f"# {remedy.defence} does: found at most {100 * found:.1f} %, {remedy.right} of "
                                 f"{remedy.guesses} right.")  # fmt: skip
    words = '# Coarser outputs or another training may: audit with top_k, decimals or access = "label", or run '
    return [*(dict.fromkeys(lines) or [words + "`safelight recommend`."]),
            "# What no budget keeps must not be in the answers."]  # fmt: skip
