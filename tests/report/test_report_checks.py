from __future__ import annotations

from dataclasses import replace

import pytest
import report_samples as samples

from safelight.data.gate import GateResult
from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.report import captions, checks
from safelight.report.model import AtRisk, Curve, Likeness, Roc, Rung


@pytest.mark.parametrize(
    ("rung", "said"),
    [
        (
            Rung("never saw", "V1", 51, 100, 2, 0.4, True),
            "51 of 100 right, where luck gives 50: at chance, as it must be.",
        ),
        (
            Rung("never saw", "V1", 90, 100, 2, 1e-9, False, "records are shared"),
            "90 of 100 right, where luck gives 50: better than luck, though nothing can leak here. Records are shared.",
        ),
        (
            Rung("planted", "V1", 20, 20, 4, 1e-9, True),
            "20 of 20 right, where luck gives 5: the leak was seen, as it must be.",
        ),
        (
            Rung("planted", "V1", 5, 20, 4, 0.5, False, "blind"),
            "5 of 20 right, where luck gives 5: the leak was missed, and it must be seen. Blind.",
        ),
        (Rung("untrained", "V1", 0, 0, 2, None, None, "no weights"), "Not run: No weights."),
        (
            Rung("never saw", "M1", 0, 0, 2, 0.31, True),
            "One test of all scores: luck does as well in about 31 in 100: at chance, as it must be.",
        ),
    ],
)
def test_a_rung_says_how_it_ended_and_how_it_must(rung: Rung, said: str) -> None:
    assert checks.rung(rung) == said


def test_every_rung_has_a_place_in_plain_words() -> None:
    roles = (Role.NEVER_SAW, Role.UNTRAINED, Role.PERMUTED, Role.REDRAWN, Role.PLANTED)
    places = {checks.place(Rung(str(role), "V1", 0, 0, 2, None, None)) for role in roles}
    assert len(places) == len(roles)
    assert checks.place(Rung("a new one", "V1", 0, 0, 2, None, None)) == "A new one."


def test_the_ladder_counts_what_held_and_what_is_missing() -> None:
    assert checks.ladder(samples.table_leak()) == "4 of 4 checks came out as they must; 1 could not be run."
    assert checks.ladder(samples.broken()).startswith("3 of 4 checks")
    assert checks.ladder(samples.nothing_run()).startswith("No sanity check could be run")


def test_the_gate_says_whether_the_split_can_be_trusted() -> None:
    passed = GateResult(0.507, 0.31, 0.54, True, "nothing tells them apart")
    assert checks.gate(passed) == (
        "Without the model, members and nonmembers could not be told apart (AUC 0.51, where 0.5 is luck; luck alone "
        "does as well in about 31 in 100; a difference of AUC 0.54 would have been seen)."
    )
    failed = checks.gate(replace(passed, auc=0.7, p=0.001, passed=False, reason="ages differ"))
    assert failed.startswith("Members and nonmembers differ even without the model (AUC 0.70")
    assert failed.endswith("so comparing them proves no leak. Ages differ.")
    assert checks.gate(replace(passed, passed=None, reason="there are no nonmembers")) == (
        "Not tested: there are no nonmembers."
    )
    assert checks.gate(None) == "Not tested in this audit."


def test_likeness_decides_whether_a_recipe_finding_bears_on_the_model() -> None:
    alike = checks.likeness(samples.table_leak())
    assert alike == (
        "The given model is like the retrained ones (right on 71% of records that none of them saw, against 71% on "
        "average, 70% to 72%, over 3 trainings), so what holds for them bears on it too."
    )
    assert "differs from the retrained ones (right on 92%" in checks.likeness(samples.faces_leak())
    unknown = Likeness(None, None, (), (), None)
    assert "could not be told" in checks.likeness(replace(samples.table_leak(), likeness=unknown))
    assert "could not be told" in checks.likeness(replace(samples.table_leak(), likeness=None))
    assert checks.likeness(replace(samples.table_leak(), findings=(samples.membership(),))) == ""
    single = Likeness(0.7, None, (0.8,), (), True)
    same = Likeness(0.7, None, (0.8, 0.8), (), True)
    assert "against 80%, over 2 trainings)" in checks.likeness(replace(samples.table_leak(), likeness=same))
    assert "against 80%)" in checks.likeness(replace(samples.table_leak(), likeness=single))
    bare = Likeness(None, None, (), (), True)
    assert checks.likeness(replace(samples.table_leak(), likeness=bare)).startswith(
        "The given model is like the retrained ones, so"
    )


def measured(auc: float, spread: float = 0.02) -> tuple[Measurement, ...]:
    return (Measurement("auc", auc, auc - spread, auc + spread),)


@pytest.mark.parametrize(
    ("members", "others", "imputed", "said"),
    [
        (0.97, 0.58, 0.66, "does better on training records than on others"),
        (0.80, 0.79, 0.66, "a pattern of the whole population, which is not a leak of the training data"),
        (0.60, 0.60, 0.80, "Guessing without the model does better"),
        (0.66, 0.65, 0.66, "cannot be told apart"),
    ],
)
def test_rows_tell_a_training_leak_from_a_pattern(members: float, others: float, imputed: float, said: str) -> None:
    rows = {"members": measured(members), "nonmembers": measured(others), "imputation": measured(imputed)}
    assert said in captions.rows(rows)


def test_rows_without_their_partners_say_nothing() -> None:
    assert captions.rows({"members": measured(0.9)}) == ""
    bare = {name: (Measurement("auc", 0.9),) for name in ("members", "nonmembers", "imputation")}
    assert "cannot be told apart" in captions.rows(bare)


def test_the_dot_plot_names_the_leaks() -> None:
    assert captions.coins(samples.table_leak()).endswith("Counted as a leak: A002.")
    assert captions.coins(samples.no_leak()).endswith("No mark counts as a leak.")


def test_the_roc_speaks_only_of_what_its_floor_allows() -> None:
    roc = Roc("M001", (0.0, 0.01, 0.1), (0.5, 0.2, 0.4), (0, 0, 0), (1, 1, 1), 0.01, 300, 100)
    assert captions.roc(roc) == (
        "While 1 in 100 others are wrongly accused, M001 recognises 20 in 100 training records. "
        "Grey: with 100 other records, fewer than 1 in 100 false alarms cannot be measured."
    )
    fine = replace(roc, fpr=(0.001, 0.01, 0.1), floor=0.001, nonmembers=1000)
    assert captions.roc(fine).startswith("While 1 in 100 others are wrongly accused, M001 recognises 20 in 100")
    coarse = replace(roc, fpr=(0.0, 0.05, 0.1), floor=0.05, nonmembers=20)
    assert captions.roc(coarse).startswith("While 5 in 100 others")
    assert captions.roc(replace(roc, floor=0.5, nonmembers=2)).startswith("Grey: with 2 other records")


def test_the_curve_says_when_luck_is_beaten_and_where_the_budget_stands() -> None:
    curve = Curve("A002", (1, 10), (52, 95), 100, 2)
    finding = samples.finding(measured=samples.coins(95, 100, secrets=100))
    assert captions.curve(curve, finding) == (
        "A002 beats luck from 10 queries a secret on. The dotted line is the budget: 20 a secret."
    )
    assert captions.curve(curve, None) == "A002 beats luck from 10 queries a secret on."
    flat = captions.curve(replace(curve, right=(52, 53)), None)
    assert flat == "A002 does not beat luck with any number of queries tried."


def test_pictures_say_what_is_missing_beside_them() -> None:
    group = samples.pictures(nearest=True)
    full = captions.pictures(group, 20)
    assert full.startswith(
        "A matching program that is not this model recognises 8 of 20 rebuilt pictures; a person may see less."
    )
    assert "what it shows too is no leak" in full
    assert "not shown" not in full
    assert "their owner has not allowed it" in captions.pictures(replace(group, nearest=None), 20)
    assert "no control picture" in captions.pictures(replace(group, control=None), 20)
    assert "Shown: the first 5 of 20" in captions.pictures(group, 5)


def test_a_ranking_is_not_called_a_proof() -> None:
    report = samples.table_leak()
    assert captions.at_risk(report) == (
        "M001 points most strongly at row-1: 1 in 1,000 others score as high, and luck alone puts any one so high in "
        "at most 1 in 500 cases. This is a ranking, not a proof about any one of them."
    )
    other = replace(report, at_risk=(AtRisk("p7", "M002", 3.0, 0.2, 0.25),))
    assert "M002 points most strongly at p7: 20 in 100" in captions.at_risk(other)
    alone = replace(report, at_risk=(AtRisk("p7", "M002", 3.0, 0.0, 0.05),))
    assert "p7: nobody else scores as high, and luck alone puts any one so high in at most 1 in 20 cases" in (
        captions.at_risk(alone)
    )
    assert captions.at_risk(replace(report, at_risk=())) == ""
