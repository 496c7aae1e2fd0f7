"""Whole audits of released tables: a copy leaks, a shuffled one by single values only, a table of others not at all."""

from dataclasses import replace

import numpy as np
import pytest

import safelight as sl
from safelight.recipes.release import ReleaseRecipe, column_shuffled
from safelight.report import claims
from safelight.report.document import from_document, to_document, to_json
from safelight.verdict.finding import Status, Verdict

CODES = ["L001", "L002", "L003", "L005"]
NAMES = ("singled_out_by_one", "singled_out_by_several", "linked", "gain", "auc")


def endings(report):
    """Return how the claims on the given table ended, by what was measured."""
    assert not report.broken
    return {
        name: finding.status
        for finding in report.findings
        for name in NAMES
        if finding.about == "model" and finding.number(name) is not None
    }


def shuffled(records, seed):
    return column_shuffled(records.x, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def people(patients):
    order = np.random.default_rng(1).permutation(len(patients))
    groups = (patients.take(rows).relabelled(np.zeros(len(rows))) for rows in np.split(order, [250, 500]))
    return sl.Splits(*groups, drawn=sl.Split.RANDOM, sensitive=("insurer",))


def test_a_copy_leaks_everything(people, tmp_path):
    report = sl.audit(sl.Target.from_release(people.members.x), people, only=CODES)
    assert endings(report) == dict.fromkeys(NAMES, Status.LEAK)
    assert {finding.code for finding in report.findings} == set(CODES)
    risk = next(item.number("risk") for item in report.findings if item.number("linked") is not None)
    assert risk.low > 0.9
    assert claims.opening(report.findings[0]).startswith("This released table gives away")
    assert claims.attacker(report.threat) == "sees the released table, holds public data of the same kind."
    assert from_document(to_document(report), tmp_path).findings == report.findings
    assert report.at_risk[0].p < 0.02


def test_a_shuffled_table_leaks_only_its_single_values(people):
    found = endings(sl.audit(sl.Target.from_release(shuffled(people.members, 0)), people, only=CODES))
    assert found.pop("singled_out_by_one") is Status.LEAK
    assert set(found) == set(NAMES[1:])
    assert Status.LEAK not in found.values()


def test_a_table_of_other_people_leaks_nothing(people):
    others = people.nonmembers.take(np.arange(100))
    splits = replace(people, nonmembers=people.nonmembers.take(np.arange(100, len(people.nonmembers))))
    found = endings(sl.audit(sl.Target.from_release(others.x), splits, only=CODES))
    assert set(found) == set(NAMES)
    assert Status.LEAK not in found.values()


def test_coins_tell_what_the_way_of_releasing_leaks(people):
    for function, leaks in ((lambda records, seed: records.x, set(CODES)), (shuffled, {"L001"})):
        target = sl.Target.from_release(function(people.members, 0))
        report = sl.audit(target, people, recipe=ReleaseRecipe(function), only=CODES)
        by_coins = [item for item in report.findings if item.about == "recipe"]
        assert {item.code for item in by_coins} == set(CODES)
        assert {item.code for item in by_coins if item.status is Status.LEAK} == leaks
        assert not report.broken
        assert "released anew the same way" in claims.where(by_coins[0])


def test_a_release_is_not_asked_and_a_model_is_not_read(people):
    report = sl.audit(sl.Target.from_release(people.members.x), people, only=["M001", "L002"])
    assert {item.code for item in (*report.findings, *report.skipped)} == {"L002"}
    none = sl.audit(sl.Target.from_release(people.members.x), people, only=["M001"])
    assert none.verdict is Verdict.UNCLEAR
    assert not none.findings


def test_the_same_seed_gives_the_same_report(people):
    reports = [sl.audit(sl.Target.from_release(people.members.x), people, only=["L001", "L002"]) for _ in range(2)]
    assert to_json(reports[0]) == to_json(reports[1])


def test_people_with_several_records_are_not_singled_out_and_a_single_column_is_not_linked(people):
    person = np.arange(len(people.members)) // 2
    several = replace(people, members=replace(people.members, person=person))
    report = sl.audit(sl.Target.from_release(people.members.x), several, only=["L001"])
    assert {item.reason for item in report.findings if item.about == "model"} == {"some people own several records"}
    groups = {name: getattr(people, name) for name in ("members", "nonmembers", "public")}
    narrow = {name: replace(group, x=group.x[["mean area"]]) for name, group in groups.items()}
    report = sl.audit(
        sl.Target.from_release(people.members.x), replace(people, **narrow, sensitive=()), only=["L001", "L002"]
    )
    reasons = {item.reason for item in report.findings if item.code == "L002" and item.about == "model"}
    assert reasons == {"linking needs two columns, and there is one"}
    assert sum(item.code == "L001" and item.about == "model" for item in report.findings) == 1
