"""Stored records in a whole audit: a leak where they are kept, a sentence where not, and the file's facts in both."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from safelight.data.records import Records, Split, Splits
from safelight.runner import audit
from safelight.targets.base import Target
from safelight.threat import Access, ThreatModel
from safelight.verdict.finding import Status, Verdict


def audited(model, patients, only):
    records = Records.of(patients.x.drop(columns="insurer"), patients.y)
    order = np.random.default_rng(0).permutation(len(records))
    members, nonmembers = records.take(order[:250]), records.take(order[250:])
    target = Target.from_sklearn(model.fit(members.x, members.y), records.x)
    return audit(target, Splits(members, nonmembers, drawn=Split.RANDOM), ThreatModel(Access.WEIGHTS), only=only)


def test_kept_records_are_a_leak_of_the_model_and_of_the_recipe(patients):
    report = audited(make_pipeline(StandardScaler(), KNeighborsClassifier(5)), patients, "D001")
    assert report.verdict is Verdict.LEAK
    assert {item.about: item.status for item in report.findings} == {"model": Status.LEAK, "recipe": Status.LEAK}
    assert all(rung.ok for rung in report.ladder if rung.ok is not None)
    assert report.structure[0].name == "stored_records"
    assert report.structure[0].value == 1.0


@pytest.mark.parametrize("leaf", [1, 40])
def test_the_facts_of_the_file_decide_nothing(patients, leaf):
    report = audited(DecisionTreeClassifier(min_samples_leaf=leaf, random_state=0), patients, ("D001",))
    (skipped,) = (item for item in report.skipped if item.code == "D001")
    assert skipped.reason == "a DecisionTreeClassifier keeps no training records"
    facts = {item.name: item.risk for item in report.structure}
    assert facts["small_leaves"] is (leaf == 1)
    assert report.verdict is not Verdict.LEAK
