"""A promise of differential privacy on every face: claimed at most, seen at least, and what could have been seen."""

from dataclasses import replace

import jsonschema
import pytest
import report_samples as samples

from safelight.measures.trade_off import DpSgd
from safelight.report import document, html, promise
from safelight.report.markdown import markdown
from safelight.report.model import Report
from safelight.report.notebook import fragment
from safelight.report.terminal import summary
from safelight.threat import Observes
from safelight.verdict.dp_claim import Answer, DpClaim, check_claim
from safelight.verdict.finding import Verdict


def promised(claim: DpClaim, *findings: object) -> Report:
    report = samples.table_leak()
    return replace(report, promise=check_claim(claim, findings or report.findings, 0.01))  # type: ignore[arg-type]


GUESSED = samples.finding(unit="record", adjacency="add-remove", claim="membership")
"""98 of 100 guesses right, of 300 coins: at least epsilon 1.9, of 3.0 that could have been seen."""


def test_a_broken_promise_one_that_stands_and_one_beyond_reach_read_differently() -> None:
    broken = promise.sentence(promised(DpClaim(1, 1e-5), GUESSED))
    answer = promised(DpClaim(1, 1e-5), GUESSED).promise
    assert answer is not None
    assert broken.startswith("The promise is broken: it allows a leak of epsilon 1 about one record at the most, and ")
    assert f"the guesses show at least {answer.bound:.2f}, of the {answer.reach:.2f} that" in broken
    assert 1 < answer.bound < answer.reach
    between = (answer.bound + answer.reach) / 2
    stands = promise.sentence(promised(DpClaim(between, 1e-5), GUESSED))
    assert stands.startswith("The promise was put to the test and not refuted: it allows a leak of epsilon")
    assert stands.endswith("that is no proof that it holds.")
    beyond = promise.sentence(promised(DpClaim(8, 1e-5), GUESSED))
    assert beyond.startswith("This audit is too small to put the promise to the test: it allows a leak of epsilon 8")
    assert f"even with every guess right no more than {answer.reach:.2f} could" in beyond


def test_luck_shows_no_leak_and_other_adjacency_cannot_tell() -> None:
    luck = replace(GUESSED, measured=samples.coins(50, 100, secrets=300))
    assert "at the most, the guesses show none, and" in promise.sentence(promised(DpClaim(1, 1e-5), luck))
    unknown = promised(DpClaim(1, 1e-5, adjacency="replace"), GUESSED)
    assert promise.sentence(unknown) == (
        "This audit cannot tell whether the promise of epsilon 1 holds: A002 bears on something else (its coins put "
        "records in or leave them out, and the promise is about replacing)."
    )
    assert "<svg" not in html.page(unknown).partition('id="promise"')[2].partition("</section>")[0]
    nothing = promised(DpClaim(1, 1e-5), samples.membership())
    assert promise.sentence(nothing).endswith("holds: no finding of it rests on coins.")


def test_a_broken_audit_says_nothing_about_it() -> None:
    report = replace(samples.broken(), promise=promised(DpClaim(1, 1e-5), GUESSED).promise)
    assert report.verdict is Verdict.BROKEN
    assert promise.sentence(report) == "The audit is broken, so it says nothing about the promise of epsilon 1."
    assert html.promise_drawing(report)[0].svg == ""


def test_its_meaning_is_said_in_odds() -> None:
    report = promised(DpClaim(8, 1e-5), GUESSED)
    text = promise.meaning(report)
    assert "their odds up to 2,981 times as high, but for a chance of 1 in 100,000." in text
    assert text.endswith("Kept or broken, the promise changes no finding and no verdict of this audit.")
    assert "more than a million times as high." in promise.meaning(promised(DpClaim(20, 0.0), GUESSED))
    table = replace(report, threat=replace(report.threat, observes=Observes.RELEASE))
    assert "whoever sees the released table" in promise.meaning(table)


def test_the_page_draws_it_beside_one_sentence_and_every_face_says_it() -> None:
    report = promised(DpClaim(1, 1e-5), GUESSED)
    section = html.page(report).partition('<section aria-labelledby="promise">')[2].partition("</section>")[0]
    assert promise.sentence(report) in section
    assert "claimed: at most 1" in section
    assert "narrow: measured at least; pale: could have been seen" in section
    assert "A002 guessed 98 of 100 right and refutes it: at least" in section
    assert promise.sentence(report) in markdown(report)
    assert promise.sentence(report) in " ".join(summary(report).split())
    assert "Promise  The promise is broken" in summary(report)
    assert promise.sentence(report) in fragment(report)


@pytest.mark.parametrize("face", [html.page, markdown, summary, fragment])
def test_without_a_promise_nothing_is_said(face: object) -> None:
    assert "The promise of" not in face(samples.table_leak())  # type: ignore[operator]
    assert promise.sentence(samples.table_leak()) == promise.meaning(samples.table_leak()) == ""


def test_it_is_written_and_read_and_older_reports_without_it_are_read(tmp_path) -> None:
    schema = jsonschema.Draft202012Validator(document.schema())
    for claim in (DpClaim(1, 1e-5, mechanism=DpSgd(2.0, 0.1, 20), per_person=3), DpClaim(8, 0.0, "person")):
        report = promised(claim, GUESSED)
        written = document.to_document(report)
        schema.validate(written)
        assert document.from_document(written, tmp_path).promise == report.promise
    assert written["promise"]["answer"] == "not refuted"
    assert Answer(written["promise"]["answer"]) is Answer.STANDS
    assert document.from_document({**written, "schema_version": "1.2"} | {"promise": None}, tmp_path).promise is None
    written.pop("promise")
    assert document.from_document(written, tmp_path).promise is None
