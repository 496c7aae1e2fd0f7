"""The people at risk: the chance of membership is learnt on held-out models, and copies are counted."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from safelight.data.records import Records, Split, Splits, concat
from safelight.runner import audit
from safelight.targets.base import Target


def test_a_forest_tells_who_was_in_with_a_chance_and_copies_are_counted():
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data.iloc[:, :8], bunch.target)
    order = np.random.default_rng(0).permutation(len(everyone))
    members, others = everyone.take(order[:150]), everyone.take(order[150:450])
    twice = concat([members, members.take(np.arange(30))])
    splits = Splits(twice, others, drawn=Split.RANDOM)
    forest = RandomForestClassifier(20, bootstrap=False, random_state=0).fit(twice.x, twice.y)
    report = audit(Target.from_sklearn(forest), splits, only="M004")
    worst = report.at_risk[:10]
    assert all(item.chance is not None and 0.5 < item.chance < 1 for item in worst)
    assert sorted((item.chance for item in report.at_risk), reverse=True) == [item.chance for item in report.at_risk]
    copied = {str(name) for name in members.ids[:30]}
    assert {item.copies for item in report.at_risk if item.id in copied} <= {1}
    assert {item.copies for item in report.at_risk if item.id not in copied} <= {0}
