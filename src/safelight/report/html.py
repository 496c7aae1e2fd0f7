"""The page: one HTML file, no script, no network, small enough to mail. The template prints, Python speaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from safelight.measures.base import Measurement
from safelight.report import (
    captions,
    charts,
    checks,
    claims,
    document,
    groups,
    numbers,
    pictures,
    plain,
    promise,
    remedies,
    vocabulary,
    words,
)
from safelight.report.model import Report
from safelight.verdict.finding import Finding, Status, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_LIMIT = 960_000  # bytes of the whole page
_JSON_LIMIT = 250_000
_AT_RISK = 10


@dataclass(frozen=True)
class Drawing:
    """A chart with its title and the sentence under it."""

    title: str
    svg: Any
    caption: str


def page(report: Report) -> str:
    """Return the whole page: the same text for the same report."""
    from markupsafe import Markup

    drawn, promised = drawings(report), promise_drawing(report)
    text, left_out = _embedded(report)
    room = _LIMIT - sum(len(item.svg) for item in (*drawn, *promised)) - int(1.2 * len(text)) - 120_000
    measured = {item.name for finding in report.findings for item in finding.measured}
    measured |= {item.name for rows in report.rows.values() for row in rows.values() for item in row}
    measured |= {"epsilon"} if promised else set()
    return (
        environment()
        .get_template("page.html")
        .render(
            report=report,
            css=Markup(css()),
            counts=_counts(report.counts),
            opening=words.opening(report),
            shape=vocabulary.SHAPES[report.verdict],
            cards=words.cards(report),
            pictures=picture_groups(report, room),
            promised=promised,
            promise_meaning=promise.meaning(report),
            promise_tests=promise.tests(report),
            drawings=drawn,
            tables=_tables(report),
            findings=[finding_view(item, report) for item in report.findings],
            warning=words.warning(report),
            at_risk=_at_risk(report),
            at_risk_sentence=captions.at_risk(report),
            at_risk_rest=_at_risk_rest(report),
            chances=any(item.chance is not None for item in report.at_risk),
            risk_title="People at risk" if _about_people(report) else "Records at risk",
            structure=[(vocabulary.RISKS[item.risk], item) for item in report.structure],
            structure_sentence=captions.structure(report),
            remedies=[remedies.row(item) for item in report.remedies],
            remedies_title=remedies.TITLE,
            remedies_opening=remedies.opening(report),
            untested=words.not_tested(report),
            tested=plain.sentence(words.tested(report)),
            ladder=_ladder(report),
            ladder_sentence=checks.ladder(report),
            gate=checks.gate(report.gate),
            likeness=checks.likeness(report),
            earlier=words.earlier(report),
            attacker=claims.attacker(report.threat),
            settings=_settings(report),
            glossary=list(vocabulary.glossary(measured).items()),
            json=text,
            json_sentence=left_out,
        )
    )


@cache
def environment() -> Environment:
    """Return the templates of this folder; whatever they print is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("safelight.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters["sentence"] = plain.sentence
    return made


@cache
def css() -> str:
    """Return the style sheet that the page and the notebook share."""
    return files("safelight.report").joinpath("templates", "page.css").read_text("utf-8")


def drawings(report: Report) -> list[Drawing]:
    """Return every chart that this report has data for: coins, ROC, leak against queries."""
    from markupsafe import Markup

    made = []
    svg = charts.coins(report.findings)
    if svg:
        made.append(Drawing("Guesses against luck", Markup(svg), captions.coins(report)))
    for number, roc in enumerate(report.rocs):
        made.append(
            Drawing(f"{roc.code}: found against wrongly accused", Markup(charts.roc(roc, number)), captions.roc(roc))
        )
    for number, curve in enumerate(report.curves):
        finding = numbers.finding_of(report.findings, curve)
        budget = numbers.per_secret(finding, curve.coins) if finding is not None else None
        svg = charts.curve(curve, budget, number)
        made.append(Drawing(f"{curve.code}: leak against queries", Markup(svg), captions.curve(curve, finding)))
    return made


def promise_drawing(report: Report) -> list[Drawing]:
    """Return the promise beside what was seen, as one drawing; none without a promise, no picture without a test."""
    from markupsafe import Markup

    if report.promise is None:
        return []
    tests = [] if report.verdict is Verdict.BROKEN else [item for item in report.promise.tests if not item.why_not]
    svg = charts.promise(report.promise.claim.epsilon, tests) if tests else ""
    return [Drawing(promise.TITLE, Markup(svg), promise.sentence(report))]


def picture_groups(report: Report, room: int) -> list[dict[str, Any]]:
    """Return the pictures of each attack that fit into `room` bytes, with the sentence above them."""
    groups: list[dict[str, Any]] = []
    for group in report.pictures:
        rows = pictures.triplets(group, room // len(report.pictures))
        wide = 5.5 * (1 + (group.control is not None) + (group.nearest is not None)) + 1
        caption = captions.pictures(group, len(rows))
        first = 3 if groups else 6
        groups.append({"code": group.code, "rows": rows, "wide": wide, "caption": caption, "first": first})
    return groups


def finding_view(finding: Finding, report: Report) -> dict[str, Any]:
    """Return what the page prints of one finding."""
    value, label = numbers.headline_number(finding)
    who = finding.who or claims.attacker(finding.threat)
    return {
        "code": finding.code,
        "title": finding.title,
        "status": str(finding.status),
        "shape": vocabulary.SHAPES[finding.status],
        "ran": finding.status is not Status.NOT_RUN,
        "looked_for": plain.sentence(claims.what(finding)),
        "about": claims.subject(finding),
        "result": plain.sentence(f"{value} {label}" if value else finding.reason),
        "opening": claims.opening(finding),
        "sentence": " ".join(claims.numbers(finding)),
        "limits": claims.limits(finding, report.policy),
        "who": plain.sentence(who),
        "remedy": plain.sentence(finding.remedy) if finding.status in (Status.LEAK, Status.UNCLEAR) else "",
        "accepted": finding.accepted,
        "numbers": [_number(item) for item in finding.measured],
        "facts": _facts(finding, report),
        "evidence": sorted((str(role), sha256) for role, sha256 in finding.evidence.items()),
    }


def _number(item: Measurement) -> dict[str, str]:
    ends = {
        end: "–" if getattr(item, end) is None else vocabulary.written(item.name, getattr(item, end))
        for end in ("floor", "control")
    }
    return {
        "name": item.name,
        "label": vocabulary.term(item.name).label,
        "value": vocabulary.written(item.name, item.value),
        "interval": vocabulary.interval(item),
        **ends,
    }


def _facts(finding: Finding, report: Report) -> str:
    facts = [f"The attacker {claims.attacker(finding.threat)}"]
    secret = numbers.per_secret(finding)
    if secret is not None:
        facts.append(f"That is {plain.count(secret)} queries a secret.")
    if finding.p is not None:
        facts.append(f"p = {finding.p:.2g} before correction for {plain.several(report.claims, 'claim')}.")
    facts.append(f"Unit {finding.unit}, adjacency {finding.adjacency}, seed {finding.seed}.")
    if finding.source:
        facts.append(f"Source: {plain.sentence(finding.source)}")
    return " ".join(facts)


def _tables(report: Report) -> list[dict[str, Any]]:
    titles = {finding.code: finding.title for finding in report.findings}
    tables = []
    for code, rows in report.rows.items():
        names = list(dict.fromkeys(item.name for row in rows.values() for item in row))
        cells = []
        for row, measured in rows.items():
            by_name = {item.name: item for item in measured}
            cells.append((row, [_number(by_name.get(name, Measurement(name, None))) for name in names]))
        columns = [vocabulary.term(name).label for name in names]
        tables.append(
            {
                "code": code,
                "title": titles.get(code, ""),
                "columns": columns,
                "rows": cells,
                "sentence": captions.rows(rows) or groups.sentence(code, rows),
            }
        )
    return tables


def _ladder(report: Report) -> list[dict[str, str]]:
    marks = {True: "○ passed", False: "▲ failed", None: "– not run"}
    return [
        {"mark": marks[rung.ok], "place": checks.place(rung), "code": rung.code, "sentence": checks.rung(rung)}
        for rung in report.ladder
    ]


def _at_risk(report: Report) -> list[dict[str, str]]:
    return [
        {
            "id": item.id,
            "code": item.code,
            "score": plain.number(item.score),
            "share": plain.in_100(item.share) if item.share else "none",
            "luck": plain.luck(item.p),
            "chance": "" if item.chance is None else plain.in_100(item.chance),
            "copies": plain.count(item.copies) if item.copies else "none",
        }
        for item in report.at_risk[:_AT_RISK]
    ]


def _at_risk_rest(report: Report) -> str:
    rest = len(report.at_risk) - _AT_RISK
    return f"{plain.several(rest, 'more is', 'more are')} in report.json." if rest > 0 else ""


def _about_people(report: Report) -> bool:
    codes = {item.code for item in report.at_risk}
    return any(finding.code in codes and finding.unit == "person" for finding in report.findings)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{plain.count(value)} {name}" for name, value in counts.items() if value)


def _settings(report: Report) -> list[dict[str, Any]]:
    audit = {"seed": report.seed, "claims tested together": report.claims, "records shown": report.show_records}
    tables = [("Policy and seed", {**report.policy, **audit}), ("Versions", report.versions)]
    tables.append(("Hashes (sha256)", report.hashes))
    found = {
        str(step.count): f"{plain.in_100(step.tpr)} members at 1 % false alarms, {step.code}"
        for step in report.references
    }
    tables.append(("Reference models tried on held-out targets", found))
    tables += [(f"Settings of {code}", values) for code, values in report.settings.items()]
    return [
        {"title": title, "rows": [(str(name), _shown(value)) for name, value in values.items()]}
        for title, values in tables
        if values
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _embedded(report: Report) -> tuple[str, str]:
    """Return the JSON to embed and a sentence about it; long lists stay in the file where they would swell the page."""
    text = document.to_json(report)
    if len(text) <= _JSON_LIMIT:
        return text, "The whole report as data, the same as report.json:"
    short = document.to_document(report) | {"rocs": [], "at_risk": []}
    note = "The report as data, without the ROC points and the ranking, which report.json holds:"
    return json.dumps(short, indent=1, ensure_ascii=False, allow_nan=False), note
