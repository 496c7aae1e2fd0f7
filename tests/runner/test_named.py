"""Audits of who is who in a release: a copy names people, a shuffled one nobody, and half a copy about half."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import safelight as sl
from safelight.recipes.release import LeakyRelease, ReleaseRecipe, column_shuffled
from safelight.report import claims
from safelight.report.document import from_document, to_document
from safelight.verdict.finding import Status


@pytest.fixture(scope="module")
def people():
    """Return 200 people behind the release and 210 others, half of them public, with names, and ten answers of four."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({f"q{i}": rng.choice(list("abcd"), 410) for i in range(10)})
    names = np.array([f"person {number}" for number in rng.permutation(410)])
    everyone = sl.Records.of(table, np.zeros(410), person=names)
    return sl.Splits(everyone.take(np.arange(200)), everyone.take(np.arange(200, 410)), drawn=sl.Split.RANDOM)


def on_the_table(report):
    """Return the finding about the given table; the other one is about the recipe."""
    assert not report.broken
    return next(item for item in report.findings if item.about == "model")


def release(people, table):
    return sl.Target.from_release(table.assign(patient=people.members.person), owner="patient")


def test_a_copy_gives_people_their_names_back(people, tmp_path):
    report = sl.audit(release(people, people.members.x), people, only="L004")
    finding = on_the_table(report)
    assert (finding.status, finding.claim, finding.unit) == (Status.LEAK, "link", "person")
    assert finding.number("named").low > 0.95
    assert finding.number("named").control < 0.03
    assert finding.number("named_at_false_0.01").value > 0.9
    assert claims.opening(finding).startswith("This released table gives away")
    assert "It links 100 in 100 people with their own row" in claims.shown(finding)
    assert finding.reason.startswith("100% of the people were linked with their own row")
    assert from_document(to_document(report), tmp_path).findings == report.findings


def test_a_shuffled_copy_names_nobody(people):
    table = column_shuffled(people.members.x, np.random.default_rng(1))
    finding = on_the_table(sl.audit(release(people, table), people, only="L004"))
    assert finding.status is Status.NONE
    assert finding.number("named").value < 0.03
    assert finding.reason.endswith("an attack that links 5% of the people would have been seen.")


def test_a_leak_of_known_size_is_measured(people):
    target = LeakyRelease(0.3).fit(people.members, 4)
    named = on_the_table(sl.audit(target, people, only="L004")).number("named")
    assert named.low < 0.3 < named.high


def test_people_whose_row_was_left_out_are_strangers(people):
    kept = people.members.x.assign(patient=people.members.person).iloc[:150]
    finding = on_the_table(sl.audit(sl.Target.from_release(kept, owner="patient"), people, only="L004"))
    assert finding.number("named").value > 0.98  # of the 150


def test_a_recipe_is_judged_by_coins(people):
    recipe = ReleaseRecipe(lambda records, seed: records.x)
    report = sl.audit(sl.Target.from_release(people.members.x), people, recipe=recipe, only="L004", seconds=20)
    finding = next(item for item in report.findings if item.about == "recipe")
    assert finding.status is Status.LEAK
    assert finding.number("success").low > 0.8
    assert not report.broken


def test_what_must_be_known_is_said(people):
    report = sl.audit(sl.Target.from_release(people.members.x), people, only="L004")
    assert on_the_table(report).status is Status.NOT_RUN
    assert "nobody says whose row each released one is; name the column" in on_the_table(report).reason
    others = people.members.x.assign(patient=[f"x{number}" for number in range(200)])
    report = sl.audit(sl.Target.from_release(others, owner="patient"), people, only="L004")
    assert "no member has one of the names in the owner column, such as 'x0'" in on_the_table(report).reason
    nameless = replace(people, members=replace(people.members, person=None), nonmembers=None)
    numbered = people.members.x.assign(row=np.arange(200)).sample(frac=1, random_state=0)
    finding = on_the_table(sl.audit(sl.Target.from_release(numbered, owner="row"), nameless, only="L004"))
    assert (finding.status, finding.unit) == (Status.LEAK, "record")
    assert finding.number("named_at_false_0.01") is None
