"""The report inside a notebook: the page's own pieces without a script, small enough to stay in a saved notebook."""

from __future__ import annotations

from markupsafe import Markup

from safelight.report import checks, html, plain, vocabulary, words
from safelight.report.model import Report

LIMIT = 60 * 1024
"""Bytes that a fragment may have; charts and pictures that do not fit are left to the page."""


def fragment(report: Report) -> str:
    """Return HTML of less than 60 KiB: verdict, cards, findings, then as many charts and pictures as fit."""
    drawn = [*html.promise_drawing(report), *html.drawings(report)]
    shown: list[html.Drawing] = []
    text = _render(report, shown, [], len(drawn))
    for item in drawn:
        wider = _render(report, [*shown, item], [], len(drawn) - len(shown) - 1)
        if len(wider.encode()) > LIMIT:
            break
        shown.append(item)
        text = wider
    if report.pictures:
        room = LIMIT - len(text.encode()) - 4096 * len(report.pictures)
        wider = _render(report, shown, html.picture_groups(report, room), len(drawn) - len(shown))
        if room > 0 and len(wider.encode()) <= LIMIT:
            return wider
    return text


def _render(report: Report, drawings: list[html.Drawing], pictures: list[dict[str, object]], missing: int) -> str:
    left_out = f'{plain.several(missing, "more chart is", "more charts are")} on the page: report.save("report.html").'
    return (
        html.environment()
        .get_template("notebook.html")
        .render(
            css=Markup(html.css()),
            opening=words.opening(report),
            shape=vocabulary.SHAPES[report.verdict],
            cards=words.cards(report),
            findings=[html.finding_view(item, report) for item in report.findings],
            drawings=drawings,
            pictures=pictures,
            tested=plain.sentence(words.tested(report)),
            untested=words.not_tested(report),
            ladder=checks.ladder(report),
            left_out=left_out if missing else "",
        )
    )
