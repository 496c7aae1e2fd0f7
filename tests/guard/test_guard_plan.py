"""A leak of known size against queries becomes the budget that it must, and where no budget helps it is said."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from safelight.cli import main
from safelight.errors import InputError
from safelight.guard.plan import Plan, Point, plan
from safelight.measures.base import Measurement
from safelight.report.model import Curve, Remedy, Report
from safelight.threat import Access, ThreatModel
from safelight.verdict.finding import Finding, Status, Verdict


def literal_found(right: int, guesses: int, k: int) -> float:
    """The upper limit of Clopper and Pearson, and the rule of Gaussian differential privacy, written out."""
    high = 1.0 if right == guesses else float(beta.ppf(0.95, right + 1, guesses - right))
    mu = max(0.0, 2 * norm.ppf(high))
    return float(norm.cdf(norm.ppf(1 / k) + mu)) if k > 2 else float(norm.cdf(mu / 2))


def literal_plan(points: list[Point], k: int, share: float) -> int | None:
    """Every number of questions, from one up: whether all attacks keep to the limit, each by its next point."""
    codes = {point.code for point in points}
    reach = min(max(point.queries for point in points if point.code == code) for code in codes)
    marks = {point.queries for point in points}
    best = None
    for queries in range(1, reach + 1):
        if queries not in marks:
            continue
        for code in codes:
            after = [point for point in points if point.code == code and point.queries >= queries]
            near = min(point.queries for point in after)
            worst = max(literal_found(each.right, each.guesses, k) for each in after if each.queries == near)
            if worst > share:
                return best
        best = queries
    return best


points = st.lists(
    st.builds(
        lambda code, queries, share: Point(code, queries, round(share * 200), 200, 2),
        st.sampled_from(["V004", "V005", "M001"]),
        st.integers(1, 40),
        st.floats(0.45, 0.75),
    ),
    min_size=1,
    max_size=12,
)


@given(points, st.sampled_from([(40, 0.1), (40, 0.3), (2, 0.6), (2, 0.7)]))
@settings(max_examples=200, deadline=None)
def test_it_finds_what_a_literal_search_finds(points, limit):
    k, share = limit
    assert plan(points, k, share).queries == literal_plan(points, k, share)


def test_a_leak_that_grows_with_queries_ends_where_it_crosses_the_limit():
    curve = [(10, 200), (30, 210), (100, 230), (300, 300)]
    found = plan([Point("V004", queries, right, 400, 2) for queries, right in curve], 40, 0.1)
    assert [row.found <= 0.1 for row in found.rows] == [True, True, True, False]
    assert found.queries == 100
    assert [found.lifetime(each) for each in (1, 3, 100, 101)] == [100, 33, 1, None]
    ten_are_enough = plan([Point("V004", queries, 361, 400, 2) for queries in (10, 30, 100)], 40, 0.1)
    assert ten_are_enough.queries is None
    assert ten_are_enough.lifetime(1) is None


def test_an_attack_that_was_tried_with_fewer_questions_only_ends_the_search():
    found = plan([Point("V004", 300, 200, 400, 2), Point("V005", 100, 200, 400, 2)], 40, 0.1)
    assert found.queries == 100  # nothing is known of V005 beyond
    with pytest.raises(InputError, match="No attack of the audit guessed"):
        plan([], 40, 0.1)
    assert Plan(40, 0.1, (), None).lifetime(1) is None


def finding(code: str, access: Access, right: int, coins: int = 400, claim: str = "person") -> Finding:
    numbers = (
        Measurement("coins_correct", right),
        Measurement("coins", coins),
        Measurement("guesses", coins),
        Measurement("success", right / coins, control=0.5),
    )
    threat = ThreatModel(access, queries=10_000)
    return Finding(code, code, "m", Status.UNCLEAR, "", claim, "recipe", "person", "replace", 4, threat, numbers)


def report(tmp_path, name: str, findings, curves=(), remedies=(), **threat):
    made = Report(
        Verdict.UNCLEAR, tuple(findings), "face model", "a model", "images", {}, ThreatModel(**threat), {}, 1, 0,
        curves=tuple(curves), remedies=tuple(remedies),
    )  # fmt: skip
    return str(made.save(tmp_path / f"{name}.json"))


CURVE = Curve("V004", (10, 30, 100, 300), (200, 210, 230, 300), 400, 2)
LIMIT = ("--limit", "re-identification among 40 <= 10 %")


def test_the_command_prints_limits_that_a_policy_takes(tmp_path, capsys):
    white_box = finding("V001", Access.WEIGHTS, 400)
    path = report(
        tmp_path, "one", [finding("V004", Access.SCORES, 300), white_box], [CURVE],
        access=Access.SCORES, queries=40_000, top_k=3, decimals=2,
    )  # fmt: skip
    assert main(["guard", "plan", path, *LIMIT, "--clients", "20", "--collude", "4"]) == 0
    said = capsys.readouterr().out
    assert tomllib.loads(said) == {"budget": {"lifetime": 25}, "outputs": {"top_k": 3, "decimals": 2}}
    assert "4 clients together spend theirs on one" in said
    assert "All 20 clients can ask 500 in all" in said
    assert "V001 needs more than answers, and no budget stops it." in said
    assert "It is no guarantee." in said
    (tmp_path / "guard.toml").write_text('[upstream]\nurl = "http://127.0.0.1:1"\nprotocol = "oip"\n' + said)
    from safelight.guard.policy import read_policy

    assert read_policy(tmp_path / "guard.toml").budget.lifetime == 25
    assert main(["guard", "plan", path, *LIMIT, "--collude", "101"]) == 1
    assert "101 clients together have more" in capsys.readouterr().out


def test_where_no_budget_helps_it_says_so_and_what_does(tmp_path, capsys):
    leaky = Curve("V004", (10, 100), (380, 390), 400, 2)
    remedy = Remedy("dp-sgd(epsilon=1)", "person", "V004", 205, 400, 380, 400, "helps", 0.9, 0.95, 3.0)
    idle = Remedy("noise(scale=0.1)", "person", "V004", 370, 400, 380, 400, "no difference seen", 0.9, 0.95, 1.0)
    findings = [finding("V004", Access.SCORES, 390), finding("V005", Access.LABEL, 205)]
    path = report(tmp_path, "one", findings, [leaky], [remedy, idle], access=Access.SCORES, queries=10_000)
    assert main(["guard", "plan", path, *LIMIT]) == 1
    said = capsys.readouterr().out
    assert "No number of questions that was tried keeps to it." in said
    assert "dp-sgd(epsilon=1) does: found at most" in said
    assert "noise" not in said
    assert 'audit with access = "label"' in said
    labels = report(tmp_path, "two", findings[1:], access=Access.LABEL, queries=10_000)
    assert main(["guard", "plan", path, labels, *LIMIT]) == 0
    assert tomllib.loads(capsys.readouterr().out) == {"budget": {"lifetime": 100}, "outputs": {"label_only": True}}


def test_what_cannot_be_planned_from_is_said(tmp_path, capsys):
    path = report(tmp_path, "one", [finding("V004", Access.SCORES, 300)], [CURVE], access=Access.SCORES)
    assert main(["guard", "plan", path, "--limit", "membership <= 60 %"]) == 2
    assert "No report holds coins that speak of membership" in capsys.readouterr().err
    assert main(["guard", "plan", path, *LIMIT, "--collude", "0"]) == 2
    assert "--collude is 0" in capsys.readouterr().err
    assert main(["guard", "plan", path, "--limit", "safe"]) == 2
