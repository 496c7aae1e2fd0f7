"""Whole audits: a leak of known size is measured, a model that never saw the data stays quiet, nothing is lost."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import safelight as sl
from safelight.attacks.membership.loss import LossThreshold
from safelight.errors import InputError, TargetFailed
from safelight.recipes.function import FunctionRecipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.report.document import to_json
from safelight.targets.fake import LeakyRecipe
from safelight.verdict.finding import Status, Verdict

ENCODER = make_column_transformer((OneHotEncoder(), ["insurer"]), remainder="passthrough")
TREE = make_pipeline(ENCODER, DecisionTreeClassifier())
SCORES = sl.ThreatModel(sl.Access.SCORES, queries=5_000)


def coins(report, code):
    return next(item for item in report.findings if item.code == code and item.about == "recipe")


def on_model(report, code):
    return next(item for item in report.findings if item.code == code and item.about == "model")


def test_a_grown_forest_leaks_its_members_and_their_insurer(patient_splits):
    recipe = SklearnRecipe(make_pipeline(ENCODER, RandomForestClassifier(60, max_features=1)))
    report = sl.audit(
        recipe.fit(patient_splits.members, 0), patient_splits, SCORES, recipe=recipe, only=["M001", "A002"]
    )
    assert report.verdict is Verdict.LEAK
    assert {coins(report, "A002").status, coins(report, "M001").status} == {Status.LEAK}
    assert coins(report, "A002").claim == "attribute"
    assert report.likeness is not None
    assert report.likeness.alike is True
    assert all(rung.ok is not False for rung in report.ladder)


def test_a_constant_model_leaks_nothing(patient_splits):
    recipe = SklearnRecipe(DummyClassifier())
    report = sl.audit(
        recipe.fit(patient_splits.members, 0), patient_splits, SCORES, recipe=recipe, only=["M001", "A002"]
    )
    assert all(item.status is not Status.LEAK for item in report.findings)
    assert coins(report, "A002").status in (Status.NONE, Status.UNCLEAR)


def test_attacks_with_settings_of_their_own_stand_in_for_the_defaults(patient_splits):
    recipe = SklearnRecipe(TREE)
    target = recipe.fit(patient_splits.members, 0)
    report = sl.audit(target, patient_splits, SCORES, only="M001", tuned=[LossThreshold(smallest=1.0)])
    assert report.settings["M001"] == {"smallest": 1.0}
    plain = sl.audit(target, patient_splits, SCORES, only="M001")
    assert on_model(report, "M001").number("auc") != on_model(plain, "M001").number("auc")
    with pytest.raises(InputError, match="smallest is -1"):
        sl.audit(target, patient_splits, SCORES, tuned=[LossThreshold(smallest=-1)])

    @dataclass(frozen=True)
    class Other(LossThreshold):
        """Not the attack that is found as M001."""

    with pytest.raises(InputError, match="Other is not the attack"):
        sl.audit(target, patient_splits, SCORES, tuned=[Other()])


def test_a_model_that_never_saw_the_data_stays_at_chance(patient_splits):
    public = patient_splits.public
    stranger = FunctionRecipe(lambda records, seed: SklearnRecipe(TREE).fit(public, seed))
    alarms = [
        sl.audit(stranger.fit(public, 0), patient_splits, SCORES, recipe=stranger, seed=seed, only=["M001", "A002"])
        for seed in range(3)
    ]
    assert all(report.verdict is not Verdict.LEAK for report in alarms)


@pytest.mark.parametrize("leak", [0.3, 1.0])
def test_a_planted_leak_is_measured_within_its_interval(digit_splits, leak):
    recipe = LeakyRecipe(sl.Images((1, 8, 8)), pictures=False, leak=leak)
    target = recipe.fit(digit_splits.members, 0)
    report = sl.audit(target, digit_splits, SCORES, recipe=recipe, only=["M001"], policy=sl.Policy(alpha=0.05))
    success = coins(report, "M001").number("success")
    # A quarter of the coins is guessed, half of them as in; a remembered record is found, the others are luck.
    expected = 1.0 if leak == 1.0 else 0.5 + 0.5 * leak
    assert success.low <= expected + 0.25
    assert success.value > 0.5 + leak / 4
    tpr = on_model(report, "M001").number("tpr_at_fpr_0.01")
    assert tpr.low <= leak <= tpr.high


def test_pictures_are_rebuilt_and_the_control_is_not_recognised(digit_splits):
    recipe = SklearnRecipe(LogisticRegression(C=0.1, max_iter=200), sl.Images((1, 8, 8)))
    target = recipe.fit(digit_splits.members, 0)
    report = sl.audit(target, digit_splits, sl.ThreatModel(sl.Access.WEIGHTS), only=["V001"], show_records=True)
    seen = on_model(report, "V001").number("rank1")
    assert seen.value >= 0.5
    assert seen.control <= 0.3
    assert coins(report, "V001").claim == "class", "an inverted class is a class, never a person"
    assert report.pictures[0].rebuilt.shape == (10, 1, 8, 8)
    assert report.pictures[0].nearest is not None
    roles = {rung.role for rung in report.ladder}
    assert {"planted", "coins redrawn", "never saw", "labels permuted"} <= roles


def test_records_are_shown_only_where_the_owner_allows_it(digit_splits):
    recipe = SklearnRecipe(LogisticRegression(C=0.1, max_iter=200), sl.Images((1, 8, 8)))
    target = recipe.fit(digit_splits.members, 0)
    report = sl.audit(target, digit_splits, sl.ThreatModel(sl.Access.WEIGHTS), only=["V001"])
    assert report.pictures[0].nearest is None


def test_people_at_risk_carry_their_conformal_chance(digit_splits):
    recipe = SklearnRecipe(LogisticRegression(C=0.1, max_iter=200), sl.Images((1, 8, 8)))
    target = recipe.fit(digit_splits.members, 0)
    people = replace(digit_splits, class_is_person=True)
    report = sl.audit(target, people, sl.ThreatModel(sl.Access.WEIGHTS), only=["V001", "M001"])
    assert {item.code for item in report.at_risk} == {"V001"}
    assert sorted(item.id for item in report.at_risk) == sorted(target.model.classes)
    assert report.at_risk[0].p == pytest.approx(1 / 10), "ten candidates cannot give less"
    recognised = sum(item.p <= 1 / 10 + 1e-9 for item in report.at_risk)
    assert recognised / 10 == on_model(report, "V001").number("rank1").value
    records = sl.audit(target, digit_splits, sl.ThreatModel(sl.Access.WEIGHTS), only=["V001", "M001"])
    assert {item.code for item in records.at_risk} == {"M001"}
    assert records.at_risk[0].p >= 1 / 301


def test_the_same_seed_gives_the_same_report_and_another_seed_does_not(patient_splits):
    recipe = SklearnRecipe(TREE)
    target = recipe.fit(patient_splits.members, 0)
    first, again, other = (
        to_json(sl.audit(target, patient_splits, SCORES, recipe=recipe, seed=seed, only=["M001"])) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_an_interrupted_audit_goes_on_where_it_stopped(patient_splits, tmp_path):
    trainings = []

    def fit(records, seed):
        trainings.append(seed)
        if len(trainings) == 3 and not (tmp_path / "resumed").exists():
            raise KeyboardInterrupt
        return SklearnRecipe(TREE).fit(records, seed)

    recipe = FunctionRecipe(fit)
    target = SklearnRecipe(TREE).fit(patient_splits.members, 0)

    def run(**options):
        return sl.audit(target, patient_splits, SCORES, recipe=recipe, only=["A002", "M001"], **options)

    with pytest.raises(KeyboardInterrupt):
        run(out=tmp_path)
    kept = sorted(path.name for path in (tmp_path / "evidence").glob("*.npz"))
    assert kept
    (tmp_path / "resumed").touch()
    trainings.clear()
    resumed = run(out=tmp_path, resume=True)
    after_resume = len(trainings)
    trainings.clear()
    whole = run()
    assert to_json(resumed) == to_json(whole)
    assert after_resume < len(trainings)


@dataclass
class Dying:
    """A model whose server goes away after some questions."""

    inner: object
    answers: int

    access = sl.Access.SCORES

    @property
    def classes(self):
        return self.inner.classes

    @property
    def inputs(self):
        return self.inner.inputs

    def scores(self, x):
        self.answers -= 1
        if self.answers < 0:
            raise TargetFailed("The server stopped answering.")
        return self.inner.scores(x)

    def labels(self, x):
        return self.scores(x).argmax(1)


def test_a_target_that_dies_ends_incomplete_with_its_evidence_kept(patient_splits, tmp_path):
    target = SklearnRecipe(TREE).fit(patient_splits.members, 0)
    dying = sl.Target("dying", Dying(target.model, 1))
    report = sl.audit(dying, patient_splits, SCORES, only=["A002", "M001"], out=tmp_path)
    assert report.verdict is Verdict.INCOMPLETE
    assert report.incomplete == "The server stopped answering."
    assert any("the target failed" in item.reason for item in report.findings)
    assert (tmp_path / "evidence" / "A002-insurer-given-target.npz").exists()


def test_what_cannot_be_run_says_why(patient_splits):
    recipe = SklearnRecipe(TREE)
    target = recipe.fit(patient_splits.members, 0)
    report = sl.audit(target, replace(patient_splits, drawn=sl.Split.UNKNOWN), sl.ThreatModel(sl.Access.LABEL))
    reasons = {(item.code, item.about): item.reason for item in report.findings}
    assert 'set split = "random"' in reasons["A003", "model"]
    skipped = {item.code: item.reason for item in report.skipped}
    assert skipped["M001"] == "it needs scores, and the threat model grants label"
    assert "V001" not in skipped, "rebuilding pictures is no question to a table"


def test_without_nonmembers_only_the_recipe_can_be_judged(patient_splits):
    recipe = SklearnRecipe(TREE)
    target = recipe.fit(patient_splits.members, 0)
    alone = replace(patient_splits, nonmembers=None)
    report = sl.audit(target, alone, SCORES, recipe=recipe, only=["M001"])
    assert on_model(report, "M001").reason == "there are no nonmembers to compare with"
    assert coins(report, "M001").status is Status.LEAK


def test_members_that_differ_by_themselves_carry_no_claim(patients):
    order = np.argsort(patients.x["mean area"].to_numpy())
    splits = sl.Splits(patients.take(order[:300]), patients.take(order[300:]), drawn=sl.Split.RANDOM)
    target = SklearnRecipe(TREE).fit(splits.members, 0)
    report = sl.audit(target, splits, SCORES, only=["M001"])
    assert report.gate is not None
    assert report.gate.passed is False
    assert "differ by themselves" in on_model(report, "M001").reason


def test_an_unknown_attack_is_refused(patient_splits):
    target = SklearnRecipe(TREE).fit(patient_splits.members, 0)
    with pytest.raises(InputError, match="starts with 'Q'"):
        sl.audit(target, patient_splits, only=["Q"])


def test_accepted_findings_stay_visible(patient_splits):
    recipe = SklearnRecipe(TREE)
    target = recipe.fit(patient_splits.members, 0)
    report = sl.audit(target, patient_splits, SCORES, recipe=recipe, only=["M001"], accepted={"M001": "known"})
    assert report.verdict is Verdict.LEAK
    assert {item.accepted for item in report.findings} == {"known"}
    report.require(sl.Policy())


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([1, 2])])
def test_labels_that_are_no_class_numbers_are_one_sentence(patient_splits, labels):
    target = SklearnRecipe(TREE).fit(patient_splits.members, 0)
    wrong = replace(patient_splits, members=patient_splits.members.relabelled(labels[patient_splits.members.y]))
    with pytest.raises(InputError, match="must be class numbers from 0 to 1"):
        sl.audit(target, wrong, only="M001")
