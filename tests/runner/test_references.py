"""How many reference models are enough: chosen on held-out targets, never on the audited model."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import safelight as sl
from safelight.attacks.base import attack_of
from safelight.compute.held_out import HeldOut
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, Split, Splits
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.runner import audit
from safelight.targets.base import Side, Target
from safelight.targets.recalled import recalled
from safelight.threat import Access, ThreatModel


@pytest.fixture(scope="module")
def patients():
    bunch = load_breast_cancer(as_frame=True)
    everyone = Records.of(bunch.data.iloc[:, :8], bunch.target)
    order = np.random.default_rng(0).permutation(len(everyone))
    groups = (everyone.take(rows) for rows in np.split(order, [200, 400]))
    return Splits(*groups, drawn=Split.RANDOM)


def test_a_pool_of_noise_tells_nothing_once_the_partner_is_out():
    """Each shadow is a target; with its partner among the references, their in-count alone would betray members."""
    rng = np.random.default_rng(0)
    records = Records.of(rng.random((400, 1, 2, 2)), np.arange(400) % 2)

    class Noise:
        def answers(self, train, count, asked=None):
            inside = np.zeros((count, len(train)), dtype=bool)
            draws = np.random.default_rng(1)
            for pair in range(0, count, 2):
                inside[pair] = draws.permutation(len(train)) % 2 == 0
                inside[pair + 1] = ~inside[pair]
            sure = draws.random((count, len(train)))
            return np.stack([1 - sure, sure], axis=2), inside

    pool, inputs = Noise(), sl.Images((1, 2, 2))
    answers, inside = pool.answers(records, 16)
    for code in ("M003", "M004"):
        aucs = []
        for number in range(16):
            model = recalled(records.x, answers[number], inputs, ("0", "1"))
            view = Target("held out", model).view(
                ThreatModel(Access.SCORES), Side(None, HeldOut(pool, 16, number // 2))
            )
            scores = attack_of(code)().run(view, WhoWasIn(records), rng).values[:, 0]
            member = inside[number]
            aucs.append(sl_auc(scores[member], scores[~member]))
        assert abs(np.mean(aucs) - 0.5) < 4 * 0.029 / 4, code  # the deviation of one AUC of 200 by 200 is 0.029


def sl_auc(inside, outside):
    return float((inside[:, None] > outside).mean() + (inside[:, None] == outside).mean() / 2)


def test_a_held_out_pair_is_left_out_whole(patients):
    pool = ShadowPool(SklearnRecipe(LogisticRegression(max_iter=5000)))
    all_answers, everyone = pool.answers(patients.members, 6)
    answers, inside = HeldOut(pool, 6, 1).answers(patients.members, 99)
    np.testing.assert_array_equal(answers, all_answers[[0, 1, 4, 5]])
    np.testing.assert_array_equal(inside, everyone[[0, 1, 4, 5]])


def test_growth_stops_where_more_models_find_no_more(patients):
    """A linear model on 8 columns hardly memorises: 4 models are as good as 8."""
    target = Target.from_sklearn(LogisticRegression(max_iter=500).fit(patients.members.x, patients.members.y))
    report = audit(target, patients, only=("M003", "M004"))
    assert report.references[0].count == 4
    used = {settings["references"] for settings in report.settings.values()}
    assert len(used) == 1
    assert used <= {step.count for step in report.references}
    gains = np.diff([step.tpr for step in report.references])
    assert (gains[:-1] >= 0.01).all()


def test_settings_of_the_owner_stay(patients):
    forest = RandomForestClassifier(10, random_state=0).fit(patients.members.x, patients.members.y)
    mine = attack_of("M003")(references=6)
    report = audit(Target.from_sklearn(forest), patients, only=("M003", "M004"), tuned=[mine], seconds=20)
    assert report.settings["M003"]["references"] == 6
    assert report.settings["M004"]["references"] in (4, 8, 16)


def test_a_small_time_budget_trains_few_models_and_still_answers(patients):
    forest = RandomForestClassifier(30, random_state=0).fit(patients.members.x, patients.members.y)
    report = audit(Target.from_sklearn(forest), patients, only="M004", seconds=0.5)
    assert [step.count for step in report.references] == [4]
    coins = next(item for item in report.findings if item.runs)
    assert coins.runs == 1
