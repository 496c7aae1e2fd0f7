from __future__ import annotations

import re
from dataclasses import replace

import pytest
import report_samples as samples

from safelight.measures.base import Measurement
from safelight.report import words
from safelight.report.html import page
from safelight.report.model import Curve, Report, Rung, Skipped
from safelight.report.words import Opening
from safelight.verdict.finding import Finding, Status, Verdict


def opening(report: Report, **changes: object) -> Opening:
    return words.opening(replace(report, **changes))  # type: ignore[arg-type]


def test_the_worst_leak_gives_headline_numbers_and_first_step() -> None:
    said = words.opening(samples.table_leak())
    assert said.status == "leak"
    assert said.headline == "A model trained this way gives away secret values in the records it was trained on."
    assert "98 of 100 hidden secrets right; luck alone gives about 50" in said.sentence
    assert said.step.startswith("Grow smaller trees")
    other = opening(samples.table_leak(), findings=(samples.membership(),))
    assert other.headline == "This model gives away whether a record was in its training data."
    assert "19 in 100 training records" in other.sentence
    assert other.step.startswith("Regularise")
    assert "explain M001" in opening(samples.table_leak(), findings=(samples.membership(remedy=""),)).step


def test_more_leaks_are_counted_and_those_on_this_model_named() -> None:
    def sentence(*findings: Finding) -> str:
        return opening(samples.table_leak(), findings=findings).sentence

    recipe, other, given = samples.finding(), samples.finding(code="A003"), samples.membership()
    assert "also ended" not in sentence(recipe)
    assert "1 more claim also ended as a leak." in sentence(recipe, other)
    assert "1 more claim also ended as a leak, 1 of them on this very model." in sentence(recipe, given)
    assert "2 more claims also ended as a leak, 1 of them on" in sentence(recipe, given, other)
    assert "1 more claim also ended as a leak." in sentence(given, recipe)


def test_a_leak_in_an_incomplete_audit_says_both() -> None:
    assert "incomplete" not in words.opening(samples.table_leak()).sentence
    said = opening(samples.table_leak(), incomplete="the target died").sentence
    assert "The audit is also incomplete: The target died." in said


def test_how_sure_a_leak_is_allows_for_all_claims() -> None:
    report = replace(samples.table_leak(), findings=(samples.finding(p=1e-5),))
    assert "at most 1 in 10,000 audits, with all 4 claims of this audit allowed for" in words.opening(report).confidence
    assert "at most 1 in 1,000 audits, with all 90 claims" in opening(report, claims=90).confidence
    assert "at most 1 in 100,000 audits. " in opening(report, claims=1).confidence
    assert "luck" not in opening(report, findings=(samples.finding(p=None),)).confidence


def test_how_sure_a_leak_is_counts_the_sanity_checks() -> None:
    report = samples.table_leak()
    assert "the attacks stayed at chance in 3 of 3 checks." in words.opening(report).confidence
    missed = Rung("planted", "A003", 55, 100, 2, 0.2, False, "it is blind here")
    assert "in 3 of 3 checks" in opening(report, ladder=(*report.ladder, missed)).confidence
    failed = Rung("never saw", "A003", 95, 100, 2, 1e-9, False)
    assert "in 3 of 4 checks" in opening(report, ladder=(*report.ladder, failed)).confidence
    assert "It was not checked that" in opening(report, ladder=()).confidence


def test_a_leak_of_the_recipe_says_whether_it_bears_on_the_model() -> None:
    assert "bears on it too" in words.opening(samples.table_leak()).confidence
    assert "about the recipe only" in words.opening(samples.faces_leak()).confidence
    given = opening(samples.table_leak(), findings=(samples.membership(),))
    assert "retrained" not in given.confidence


def test_accepted_leaks_come_last_and_say_so() -> None:
    accepted = samples.finding(accepted="known")
    both = opening(samples.table_leak(), findings=(accepted, samples.membership()))
    assert both.headline.startswith("This model gives away whether a record")
    alone = opening(samples.table_leak(), findings=(accepted,))
    assert alone.headline.endswith("The owner has accepted this.")


def test_no_leak_is_never_more_than_that() -> None:
    said = words.opening(samples.no_leak())
    assert said.headline == "None of the 2 claims tested showed a leak."
    assert "no promise" in said.sentence
    assert said.confidence == (
        "Had A003 been right on 3 of 4 secrets, we would have seen it. The same can be said of 1 more claim."
    )
    assert said.step.startswith("Audit again")
    one = opening(samples.no_leak(), findings=(samples.silent(),))
    assert one.headline == "The one claim tested showed no leak."
    assert "more claim" not in one.confidence
    powerless = opening(samples.no_leak(), policy={"look_for": 0.6})
    assert powerless.confidence == "None of these attacks came with a number for what it would have noticed."


def test_no_leak_points_at_what_was_left_out() -> None:
    skipped = (Skipped("M002", "reference-model ratio", "there are no nonmembers."),)
    said = opening(samples.no_leak(), skipped=skipped)
    assert said.step == "Look at what was not tested, first M002 (there are no nonmembers)."
    assert "1 could not be." in said.sentence


def test_a_verdict_beside_accepted_leaks_does_not_deny_them() -> None:
    findings = (samples.finding(accepted="known"), samples.silent())
    said = opening(samples.no_leak(), findings=findings)
    assert said.headline == "No leak was found beyond the 1 that the owner has accepted."
    stopped = opening(samples.incomplete(), findings=findings)
    assert "no leak beyond what the owner has accepted among 2 claims" in stopped.confidence


def test_unclear_names_what_would_settle_it() -> None:
    said = words.opening(samples.is_unclear())
    assert said.headline == "These numbers neither show a leak nor rule one out."
    assert "57 guesses (3 runs) would settle it" in said.sentence
    assert said.confidence == "1 claim of 2 tested could not be decided."
    assert said.step == "Audit again with more secrets or more runs: V004 was too small to decide."
    given = samples.membership(status=Status.UNCLEAR, reason="too few nonmembers")
    other = opening(samples.is_unclear(), findings=(given,))
    assert other.step == "Audit again with more records to compare: M001 was too small to decide."
    assert other.confidence == "1 claim of 1 tested could not be decided."


def test_incomplete_is_never_clean() -> None:
    said = words.opening(samples.incomplete())
    assert "cannot say that nothing leaks" in said.headline
    assert "stopped answering after 1,200 queries" in said.sentence
    assert said.confidence == "What came to its end holds: no leak among 1 claim so far."
    assert "--resume" in said.step
    unsure = opening(samples.incomplete(), findings=(samples.silent(), samples.unclear()))
    assert unsure.confidence.endswith("among 2 claims so far. 1 of them is unclear.")


@pytest.mark.parametrize("verdict", [Verdict.INCOMPLETE, Verdict.UNCLEAR, Verdict.NONE])
def test_nothing_tested_is_said_whatever_the_verdict(verdict: Verdict) -> None:
    said = opening(samples.nothing_run(), verdict=verdict)
    assert said.headline == "Nothing could be tested, so nothing is known about this model."
    assert said.sentence == "The first reason: It needs the weights and this attacker sees scores."
    assert said.step.startswith("Mend what stopped A004")
    empty = opening(samples.nothing_run(), verdict=verdict, findings=(), skipped=())
    assert empty.sentence == "The first reason: The plan held no attack."
    assert empty.step == "Choose an attack."


def test_a_broken_audit_withdraws_its_numbers() -> None:
    report = samples.broken()
    said = words.opening(report)
    assert said.headline == "Do not use the numbers of this audit."
    assert said.sentence == "The attack was right on 88 of 100 secrets of a model that never saw them."
    assert said.confidence == "Not at all: 1 sanity check did not come out as it must: never saw (A002)."
    assert "records that two groups share" in said.step
    assert [card.label for card in words.cards(report)] == ["sanity check failed"]
    assert words.warning(report)
    assert words.warning(samples.table_leak()) == ""
    other = opening(report, ladder=())
    assert other.confidence == "Not at all: see the reason above."


def test_cards_show_the_worst_number_the_pictures_the_queries_and_the_coverage() -> None:
    table = words.cards(samples.table_leak())
    assert [card.value for card in table] == ["98 of 100", "1", "3 of 5"]
    assert table[1].label == "query a secret is enough to beat luck"
    faces = words.cards(samples.faces_leak())
    assert [card.value for card in faces] == ["58 of 60", "40 in 100", "10", "4 of 6"]
    assert faces[1].note == "5 in 100 from a model that never saw them"
    assert faces[2].label == "queries a secret are enough to beat luck"
    assert faces[3].note.startswith("2 not tested")
    quiet = words.cards(samples.no_leak())
    assert [card.value for card in quiet] == ["54 of 100", "3 of 4", "2,000", "2 of 2"]
    assert quiet[1].note == "holds for 2 of 2 claims tested"
    assert quiet[3].note == "nothing was left out"
    assert [card.value for card in words.cards(samples.nothing_run())] == ["2,000", "0 of 3"]


def test_a_picture_number_is_not_shown_twice() -> None:
    rank = samples.finding(claim="class", unit="class", measured=(Measurement("rank1", 0.4, 0.3, 0.5, 0.05, 0.05),))
    report = replace(samples.faces_leak(), findings=(rank,), curves=())
    assert [card.value for card in words.cards(report)].count("40 in 100") == 1


def test_queries_are_enough_only_from_where_luck_stays_beaten() -> None:
    assert words.enough_queries(Curve("V1", (1, 10, 50), (50, 90, 95), 100, 2)) == 10
    assert words.enough_queries(Curve("V1", (1, 10, 50), (90, 50, 95), 100, 2)) == 50
    assert words.enough_queries(Curve("V1", (1, 10, 50), (50, 51, 55), 100, 2)) is None
    assert words.enough_queries(Curve("V1", (1, 10), (30, 40), 100, 4)) == 10


def test_what_was_not_tested_is_gathered_once() -> None:
    finding = samples.not_run()
    same = Skipped(finding.code, finding.title, finding.reason)
    report = replace(samples.no_leak(), findings=(finding,), skipped=(same, Skipped("V1", "x", "y")))
    assert words.not_tested(report) == (same, Skipped("V1", "x", "y"))
    assert words.tested(report) == "No claim was tested, 2 could not be."
    twice = replace(report, findings=(finding, samples.not_run(about="model"), samples.silent()))
    assert words.not_tested(twice)[0].title == "tree confidence (2 claims)"
    assert words.tested(twice) == "1 claim was tested, 3 could not be."
    assert words.cards(twice)[-1].value == "1 of 4"
    assert words.tested(samples.no_leak()) == "2 claims were tested; none was left out."


def test_earlier_audits_are_counted() -> None:
    assert words.earlier(replace(samples.no_leak(), earlier=0)) == ""
    assert "audited once before" in words.earlier(replace(samples.no_leak(), earlier=1))
    assert "audited 3 times before" in words.earlier(replace(samples.no_leak(), earlier=3))


@pytest.mark.parametrize("name", sorted(samples.ALL))
def test_the_word_safe_is_never_printed(name: str) -> None:
    text = page(samples.ALL[name]()) + str(samples.ALL[name]())
    assert re.search(r"\bsafe(ly|ty)?\b", text.split("<body", 1)[-1], re.IGNORECASE) is None
