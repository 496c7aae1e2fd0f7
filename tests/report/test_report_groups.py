"""Which declared groups are more exposed than the rest: said where the data can tell, on every face."""

from dataclasses import replace

import numpy as np
import pytest
import report_samples as samples

from safelight.evidence import Evidence, Origin, Role, Scores
from safelight.measures.base import Measurement
from safelight.measures.beyond_rest import beyond_rest
from safelight.report import groups, html
from safelight.report.markdown import markdown
from safelight.report.terminal import summary
from safelight.threat import ThreatModel
from safelight.verdict.outcome import of_coin_groups, of_groups


def scored(shifts: dict[str, float], rng: np.random.Generator, each: int = 200):
    """Return scores, membership and group of `each` members and nonmembers a group, members higher by its shift."""
    group = np.repeat(list(shifts), 2 * each)
    member = np.tile(np.repeat([True, False], each), len(shifts))
    return rng.normal(size=len(group)) + member * np.vectorize(shifts.get)(group), member, group


def test_the_difference_is_that_of_the_literal_formula_and_keeps_its_confidence():
    got = beyond_rest(Measurement("auc", 0.7, 0.6, 0.78), Measurement("auc", 0.5, 0.45, 0.56))
    assert got.value == pytest.approx(0.2)
    assert got.low == pytest.approx(0.2 - (0.1**2 + 0.06**2) ** 0.5)
    assert got.high == pytest.approx(0.2 + (0.08**2 + 0.05**2) ** 0.5)
    for missing in (Measurement("auc", None), Measurement("auc", 0.5)):
        assert beyond_rest(missing, got).value is beyond_rest(got, missing).value is None


def test_a_group_that_leaks_more_is_named_and_alike_groups_are_not():
    rng = np.random.default_rng(0)
    rows = of_groups(*scored({"north": 1.5, "south": 0.3, "west": 0.3}, rng), 0.01, rng)
    assert groups.exposed(rows) == ["north"]
    text = groups.sentence("M003 by group", rows)
    assert text.startswith("More exposed than the rest: north (it is right in 8")
    assert text.endswith("more). The intervals hold for all 3 declared groups together.")
    alike = of_groups(*scored({"north": 0.8, "south": 0.8, "west": 0.8}, rng), 0.01, rng)
    assert groups.sentence("M003 by group", alike) == (
        "The data cannot tell any of the 3 declared groups from the rest."
    )


def test_alike_groups_are_rarely_named():
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        named += bool(groups.exposed(of_groups(*scored(dict.fromkeys("abcd", 0.5), rng, 60), 0.1, rng)))
    assert named <= 6, "at a level of 10 % for all four groups, two-sided, 5 % of 40 are 2"


def test_a_group_that_does_better_than_the_rest_but_not_than_luck_is_not_named():
    rows = {
        "a": (Measurement("auc", 0.5, 0.45, 0.55, control=0.5), Measurement("beyond_rest", 0.2, 0.1, 0.3)),
        "b": (Measurement("auc", 0.3, 0.25, 0.35, control=0.5), Measurement("beyond_rest", -0.2, -0.3, -0.1)),
    }
    assert groups.exposed(rows) == []


def test_small_groups_have_no_number_and_one_group_has_no_rest():
    rng = np.random.default_rng(0)
    scores, member, group = scored({"north": 1.0, "south": 1.0}, rng)
    group = np.where(np.arange(len(group)) < 10, "tiny", group)
    rows = of_groups(scores, member, group, 0.01, rng)
    assert rows["tiny"][-1] == Measurement("beyond_rest", None, control=0.0)
    assert groups.sentence("M001 by group", rows).endswith("Too few records for a number: tiny.")
    alone = of_groups(scores, member, np.full(len(scores), "all"), 0.01, rng)
    assert groups.sentence("M001 by group", alone) == ""
    assert [item.name for item in alone["all"]] == ["auc", "tpr_at_fpr_0.01"]


def test_people_with_many_records_are_no_many_witnesses():
    rng = np.random.default_rng(1)
    scores, member, group = scored({"north": 0.6, "south": 0.0}, rng, 30)
    copied = [np.repeat(values, 10) for values in (scores, member, group)]
    person = np.repeat(np.arange(len(scores)), 10)
    by_row, by_person = (of_groups(*copied, 0.05, np.random.default_rng(0), who)["north"] for who in (None, person))
    widths = [row[-1].high - row[-1].low for row in (by_row, by_person)]
    assert widths[1] > 2.5 * widths[0], "ten copies of each record make row-wise intervals about 3 times too narrow"


def run_of(right: dict[str, float], rng: np.random.Generator) -> Evidence:
    group = np.repeat(list(right), 200)
    secret = rng.integers(0, 2, len(group))
    guess = np.where(rng.random(len(group)) < np.vectorize(right.get)(group), secret, 1 - secret)
    origin = Origin("M008", {}, ThreatModel(), Role.COINS, "m", 0, 0, True)
    return Evidence(
        origin, Scores(np.zeros((len(group), 1))), np.eye(2)[guess], secret, 2, "canary", extra={"group": group}
    )


def test_coins_of_kinds_are_told_apart_alike():
    rows = of_coin_groups([run_of({"blank": 0.9, "copied": 0.55}, np.random.default_rng(0))], 0.01)
    assert groups.exposed(rows) == ["blank"]
    text = groups.sentence("M008 by kind (coins)", rows)
    assert text.startswith("More exposed than the rest: blank (it is right in ")
    assert " guesses, " in text
    assert "all 2 kinds together" in text


def test_every_face_says_it_and_a_broken_audit_does_not():
    rng = np.random.default_rng(0)
    rows = {"M003 by group": of_groups(*scored({"north": 1.5, "<south>": 0.3}, rng), 0.01, rng)}
    report = replace(samples.table_leak(), rows=rows)
    text = groups.sentence("M003 by group", rows["M003 by group"])
    assert text in html.page(report)
    assert "Groups   M003 by group: More exposed than the rest: north" in summary(report)
    assert "## Which groups are more exposed" in markdown(report)
    assert groups.lines(replace(samples.broken(), rows=rows)) == []
    assert groups.lines(samples.table_leak()) == [], "members, nonmembers and imputation are no groups"
    assert "Groups " not in summary(samples.table_leak())
