"""Whole audits of a way of training: by poison that the attacker puts in, and by a share of the training records."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

import safelight as sl
from safelight.attacks.poisoning.truth_serum import TruthSerum
from safelight.attacks.properties.shares import TrainingShares
from safelight.data.records import Records, Split, Splits
from safelight.recipes.sklearn import SklearnRecipe
from safelight.report.claims import whole
from safelight.report.document import schema, to_json
from safelight.verdict.dp_claim import DpClaim, check_claim
from safelight.verdict.finding import Status, Verdict

SCORES = sl.ThreatModel(sl.Access.SCORES, queries=2_000)


@pytest.fixture(scope="module")
def survey():
    """People of whom more than half smoke, and an answer that goes with smoking."""
    rng = np.random.default_rng(0)
    smokes = rng.random(1200) < 0.6
    x = pd.DataFrame({"age": rng.integers(20, 80, 1200), "income": rng.normal(size=1200).round(2), "smokes": smokes})
    everyone = Records.of(x, (rng.random(1200) < np.where(smokes, 0.85, 0.25)).astype(int))
    groups = (everyone.take(rows) for rows in np.split(np.arange(1200), [400, 600]))
    return Splits(*groups, drawn=Split.RANDOM, sensitive=("smokes",))


def blind() -> SklearnRecipe:
    read = make_column_transformer(("drop", ["smokes"]), remainder="passthrough")
    return SklearnRecipe(make_pipeline(read, LogisticRegression()))


def test_poison_is_part_of_the_training_and_only_by_coins(survey):
    recipe = SklearnRecipe(RandomForestClassifier(20))
    report = sl.audit(
        recipe.fit(survey.members, 0), survey, SCORES, recipe=recipe, only=["K001"], tuned=[TruthSerum(references=8)]
    )
    (finding,) = report.findings
    assert report.verdict is Verdict.LEAK
    assert (finding.claim, finding.about, finding.unit, finding.adjacency) == (
        "membership", "recipe", "record", "add-remove"
    )  # fmt: skip
    assert finding.number("epsilon").value > 0
    assert report.settings["K001"] == {"copies": 4, "references": 8}
    assert all(rung.ok is not False for rung in report.ladder)


def test_a_share_of_the_training_records_is_a_finding_about_the_data_as_a_whole(survey):
    recipe = blind()
    report = sl.audit(
        recipe.fit(survey.members, 0), survey, SCORES, recipe=recipe, only=["P001"],
        tuned=[TrainingShares(references=24)],
    )  # fmt: skip
    (finding,) = report.findings
    assert finding.status is Status.LEAK
    assert (finding.claim, finding.about, finding.unit, finding.adjacency) == (
        "property", "recipe", "data set", "none"
    )  # fmt: skip
    assert finding.runs >= 24
    assert finding.number("mu") is None, "such coins say nothing about differential privacy"
    assert finding.number("epsilon") is None
    assert "This is about the data as a whole, not about any one person." in whole(finding, report.policy)
    assert all(rung.ok is not False for rung in report.ladder)
    assert list(report.rows["P001 smokes (coins)"]) == ["False: 30% or 50%"], "the value that leaves most to train on"
    jsonschema.validate(json.loads(to_json(report)), schema())
    answer = check_claim(DpClaim(1.0, 1e-5), report.findings)
    assert answer.tests[0].why_not == (
        "its coins decide about the data set as a whole, and the promise is about one record"
    )


def test_neither_is_part_of_a_fast_audit(survey):
    report = sl.audit(blind().fit(survey.members, 0), survey, SCORES, recipe=blind(), only=["K", "P"])
    assert {item.code: item.reason for item in report.skipped} == {
        "K001": "it takes long; --deep runs it", "P001": "it takes long; --deep runs it"
    }  # fmt: skip


def test_regressors_have_no_wrong_labels(survey):
    real = Splits(*(
        Records.of(group.x, group.y + 0.5) for group in (survey.members, survey.nonmembers, survey.public)
    ))  # fmt: skip
    recipe = SklearnRecipe(LinearRegression())
    report = sl.audit(recipe.fit(real.members, 0), real, SCORES, recipe=recipe, only=["K001", "M001"])
    assert "K001" not in {item.code for item in (*report.findings, *report.skipped)}
