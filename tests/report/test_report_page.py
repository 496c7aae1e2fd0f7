from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
import report_samples as samples

from safelight.report import charts, document, html
from safelight.report.model import AtRisk, Curve, Report, Roc, Skipped
from safelight.report.notebook import LIMIT, fragment

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Outline(HTMLParser):
    """Reads a page: every element with its attributes, the text of the page, and whether all tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)
            self.inside.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@cache
def page(name: str) -> str:
    return html.page(samples.ALL[name]())


@cache
def outline(name: str) -> Outline:
    return Outline(page(name))


every_sample = pytest.mark.parametrize("name", sorted(samples.ALL))


@every_sample
def test_the_page_is_whole_small_and_alone(name: str) -> None:
    text, read = page(name), outline(name)
    assert read.open == []
    assert len(text.encode()) < 1_000_000
    assert "<script" not in text
    assert "javascript:" not in text
    assert not [attributes for _, attributes in read.elements if any(key.startswith("on") for key in attributes)]
    for _, attributes in read.elements:
        for key in ("src", "href", "xlink:href"):
            assert (attributes.get(key) or "#").startswith(("#", "data:image/png;base64,"))
    assert "url(http" not in text
    assert "@import" not in text


@every_sample
def test_the_page_can_be_read_without_eyes_or_colour(name: str) -> None:
    read = outline(name)
    assert read.all("html")[0]["lang"] == "en"
    assert len(read.all("main")) == len(read.all("h1")) == 1
    assert all(image["alt"] for image in read.all("img"))
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in read.all("svg"))
    assert all(head["scope"] in ("col", "row") for head in read.all("th"))
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes["aria-labelledby"] for _, attributes in read.elements if "aria-labelledby" in attributes}
    assert named <= set(ids)


@every_sample
def test_the_page_opens_with_the_verdict(name: str) -> None:
    from safelight.report.words import opening

    said, text = opening(samples.ALL[name]()), " ".join(outline(name).words)
    places = [text.index(part) for part in (said.status.capitalize(), said.headline, said.confidence, said.step)]
    assert places == sorted(places)


def test_the_sections_come_in_their_order() -> None:
    heads = [" ".join(text.split()) for text in outline("faces").inside["h2"]]
    assert "; ".join(heads) == (
        "What V002 rebuilt; How sure we are; Findings; What was not tested, and why; Checks of the audit itself; "
        "Settings, seed, versions, hashes; Words used; For machines"
    )
    table = outline("table").inside["h2"]
    assert table.index("Side by side") == table.index("Findings") - 1
    assert table.index("Records at risk") == table.index("Findings") + 1


def test_training_records_are_shown_only_when_the_owner_allows() -> None:
    shown, hidden = html.page(samples.faces_leak(nearest=True)), html.page(samples.faces_leak(nearest=False))
    assert shown.count("nearest training record</figcaption>") == 20
    assert hidden.count("nearest training record</figcaption>") == 0
    assert "Training record nearest" not in hidden


def test_what_was_not_tested_stands_as_loud_as_the_findings() -> None:
    report = samples.table_leak()
    text = page("table")
    for item in report.skipped:
        assert item.title in text
    assert text.count("<h2") == len(outline("table").inside["h2"])
    more = html.page(replace(report, skipped=(*report.skipped, Skipped("V9", "brand new", "no time was left"))))
    assert "No time was left." in more


def test_people_at_risk_are_named_by_id_only_and_cut_short() -> None:
    text = page("table")
    assert "row-10" in text.split("For machines")[0]
    assert "row-11" not in text.split("For machines")[0]
    assert "15 more are in report.json." in text
    few = replace(samples.table_leak(), at_risk=(AtRisk("row-1", "M001", 1.0, 0.1, 0.11),))
    assert "in report.json." not in html.page(few).split("For machines")[0]
    people = replace(few, findings=(samples.membership(unit="person"),))
    assert "People at risk" in html.page(people)


def test_a_broken_audit_is_marked_above_its_numbers() -> None:
    warning = "these numbers stand here to help mend it"
    assert page("broken").count(warning) == 2
    assert warning not in page("table")


def test_whatever_a_name_holds_it_stays_text() -> None:
    bad = "<script>alert(1)</script>$x_{y$&"
    report = replace(
        samples.table_leak(),
        target=bad,
        findings=(samples.finding(code=bad, title=bad, reason=bad, who=bad, remedy=bad), samples.not_run(reason=bad)),
        curves=(Curve(bad, (1, 5), (40, 90), 100, 2),),
        hashes={bad: bad},
    )
    for text in (html.page(report), fragment(report)):
        assert "<script" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_the_page_holds_its_own_data() -> None:
    read = Outline(page("table"))
    report = json.loads("".join(read.inside["pre"]))
    assert report == document.to_document(samples.table_leak())


def test_long_lists_do_not_swell_the_page() -> None:
    points = tuple(np.linspace(0, 1, 12_000))
    roc = Roc("M001", points, points, points, points, 1 / 12_000, 12_000, 12_000)
    text = html.page(replace(samples.table_leak(), rocs=(roc,)))
    assert len(text.encode()) < 300_000
    assert "without the ROC points and the ranking" in text


def test_many_large_pictures_are_cut_to_what_fits() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=(60, 3, 160, 160)).astype(np.float32)
    group = replace(
        samples.pictures(60, nearest=True), rebuilt=noise, control=noise, nearest=noise, recognised=np.ones(60, bool)
    )
    text = html.page(replace(samples.faces_leak(), pictures=(group,)))
    assert 500_000 < len(text.encode()) < 1_000_000
    assert re.search(r"Shown: the first \d+ of 60, in the order of the classes\.", text)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert html.page(samples.table_leak()) == page("table")
    assert fragment(samples.faces_leak()) == fragment(samples.faces_leak())


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_ink_can_be_read_on_every_ground_in_light_dark_and_print() -> None:
    css = html.css()
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
    light = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css[: css.index("@media")]))
    dark = css[css.index("prefers-color-scheme: dark") :]
    themes = [light, dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", dark[: dark.index("}")]))]
    assert set(themes[0]) == set(themes[1])
    for theme in themes:
        for ink in ("ink", "muted", "accent"):
            for ground in ("paper", "card", "glow"):
                dim, bright = sorted((luminance(theme[ink]), luminance(theme[ground])))
                assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground)


def test_charts_take_their_colours_from_the_page() -> None:
    drawn = [item.svg for item in html.drawings(samples.table_leak())]
    assert len(drawn) == 3
    for svg in drawn:
        assert set(re.findall(r"#[0-9a-fA-F]{6}\b", svg)) <= {"#ffffff"}
        assert "var(--ink)" in svg
        assert "DejaVu" not in svg
        assert "<metadata" not in svg
        assert len(svg) < 30_000


def test_a_chart_holds_what_its_data_say() -> None:
    text = charts.curve(Curve("A002", (1, 5, 20), (52, 90, 98), 100, 2), 6.7)
    assert ">budget<" in text
    assert ">budget<" not in charts.curve(Curve("A002", (1, 5, 20), (52, 90, 98), 100, 2))
    assert "A002 attribute" in charts.coins(samples.table_leak().findings)
    assert "M001" not in charts.coins(samples.table_leak().findings)
    assert charts.coins((samples.membership(),)) == ""
    assert "too few" in charts.roc(samples.table_leak().rocs[0])


def test_a_report_without_numbers_draws_nothing() -> None:
    assert html.drawings(samples.nothing_run()) == []
    assert "No attack of this audit gave numbers that can be drawn." in page("nothing")


@every_sample
def test_the_notebook_fragment_is_small_and_says_the_same(name: str) -> None:
    from safelight.report.words import opening

    report = samples.ALL[name]()
    text = report._repr_html_()
    read = Outline(text)
    assert len(text.encode()) <= LIMIT
    assert read.open == []
    assert "<script" not in text
    assert opening(report).headline in " ".join(read.words)
    assert repr(report) == str(report)
    assert report._repr_mimebundle_() == {"text/html": text, "text/plain": str(report)}


def test_what_does_not_fit_into_a_notebook_is_left_to_the_page() -> None:
    curve = samples.table_leak().curves[0]
    many = replace(samples.table_leak(), curves=tuple(replace(curve, code=f"A{n:03}") for n in range(12)))
    text = fragment(many)
    assert len(text.encode()) <= LIMIT
    assert re.search(r"\d+ more charts are on the page", text)
    assert "on the page: report.save" not in fragment(samples.table_leak())


def test_a_report_without_pictures_has_no_picture_section() -> None:
    assert "<img" not in page("table")
    assert isinstance(samples.table_leak(), Report)
