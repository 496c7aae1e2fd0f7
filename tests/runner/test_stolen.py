"""Audits that ask whether a model can be copied."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import safelight as sl
from safelight.data.records import Records, Splits
from safelight.report import claims
from safelight.targets.base import Table, Target
from safelight.targets.fake import RandomAnswers
from safelight.verdict.finding import Status

ONLY = ("S001", "S002", "S003", "S004")


@pytest.fixture(scope="module")
def splits():
    """Diagnoses of which one in four is flipped: public labels do not say all of what the model answers."""
    bunch, rng = load_breast_cancer(as_frame=True), np.random.default_rng(0)
    flipped = rng.random(len(bunch.target)) < 0.25
    everyone = Records.of(bunch.data.iloc[:, :8], np.where(flipped, 1 - bunch.target, bunch.target))
    order = rng.permutation(len(everyone))
    return Splits(everyone.take(order[:100]), everyone.take(order[100:]))


def audited(target, splits, only=ONLY):
    settings = [sl.attacks.base.attack_of(code)(queries=400) for code in ONLY] if only is ONLY else []
    return sl.audit(target, splits, only=only, tuned=settings)


def test_a_logistic_regression_is_copied_and_the_report_says_so(splits):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=100)).fit(splits.members.x, splits.members.y)
    report = sl.audit(Target.from_sklearn(model, splits.members.x), splits, only="S001")
    (finding,) = report.findings
    assert (finding.status, finding.claim, finding.unit, finding.runs) == (Status.LEAK, "model", "model", 0)
    assert finding.number("fidelity").value == 1.0
    assert finding.number("queries").value < 60
    said = claims.whole(finding, report.policy)
    assert "gives away how it works inside, so that it can be copied" in said
    assert "a copy answers 100 in 100 records as the model does" in said
    assert not report.ladder, "a model that never saw the records can be copied as well, and is no null"


def test_a_model_that_answers_at_random_is_not_copied(splits):
    target = Target("random", RandomAnswers(Table(tuple(splits.members.x.columns)), 0))
    report = audited(target, splits)
    assert len(report.findings) == 4
    assert all(finding.status in (Status.NONE, Status.UNCLEAR) for finding in report.findings)
    assert all(finding.number("fidelity").low < 0.6 for finding in report.findings)


def test_it_waits_for_the_deep_profile(splits):
    model = LogisticRegression(max_iter=5000).fit(splits.members.x, splits.members.y)
    report = sl.audit(Target.from_sklearn(model, splits.members.x), splits, only=("S", "M007"))
    assert {item.code for item in report.skipped} >= set(ONLY)
