"""Cut, rounded and hidden scores: as written, at the door, and against an attacker who answers alike."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import safelight as sl
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.defences.base import defence_of
from safelight.defences.outputs.base import Hardened, HardenedFromStart, HardenedRecipe, keys, per_input
from safelight.defences.outputs.policy import OutputPolicy
from safelight.errors import AccessDenied, InputError
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images
from safelight.threat import Access, ThreatModel
from safelight.verdict.finding import Status

SCORES = np.array([[0.62, 0.26, 0.12], [0.05, 0.9, 0.05], [1.0, 0.0, 0.0]])
KEY = np.arange(3, dtype=np.uint64)
LINEAR = SklearnRecipe(LogisticRegression(C=0.1, max_iter=300), Images((1, 8, 8)))


def literal(row, top_k, decimals, temperature):
    """One row, one number at a time."""
    powers = [value ** (1 / temperature) for value in row]
    row = [value / sum(powers) for value in powers]
    if top_k is not None:
        least = sorted(row, reverse=True)[top_k - 1]
        row = [value if value >= least else 0.0 for value in row]
    return row if decimals is None else [round(value, decimals) for value in row]


@pytest.mark.parametrize(
    ("top_k", "decimals", "temperature"), [(1, None, 1.0), (2, 1, 1.0), (None, 2, 3.0), (2, 0, 0.5)]
)
def test_scores_are_flattened_cut_and_rounded_in_that_order(top_k, decimals, temperature):
    hardened = OutputPolicy(top_k, decimals, temperature).harden(SCORES[[0, 2]], KEY[:2])
    expected = [literal(row, top_k, decimals, temperature) for row in SCORES[[0, 2]].tolist()]
    np.testing.assert_allclose(hardened, expected, atol=1e-12)


def test_no_policy_is_the_plain_model_and_a_hot_one_is_nearly_flat():
    before = SCORES.copy()
    assert np.array_equal(OutputPolicy().harden(SCORES, KEY), SCORES)
    flat = OutputPolicy(temperature=1000).harden(SCORES, KEY)
    np.testing.assert_allclose(flat[:2], 1 / 3, atol=1e-3)
    assert flat[2].tolist() == [1, 0, 0]  # a score of 0 stays 0
    OutputPolicy(top_k=1).harden(SCORES, KEY)
    assert np.array_equal(SCORES, before)


def test_the_label_alone_is_all_that_the_door_shows(digit_splits):
    target = LINEAR.fit(digit_splits.members, 0)
    hidden, x = OutputPolicy(label_only=True)(target), digit_splits.nonmembers.x
    assert hidden.model.access is Access.LABEL
    assert hidden.description.endswith(", output-policy(label_only=True)")
    view = hidden.view(ThreatModel(Access.WEIGHTS))
    assert np.array_equal(view.labels(x), target.model.labels(x))
    with pytest.raises(AccessDenied, match="needs scores and the target can show no more than label"):
        view.scores(x)
    assert np.array_equal(hidden.model.scores(x).argmax(axis=1), target.model.labels(x))
    assert set(np.unique(hidden.model.scores(x))) == {0, 1}


def test_scores_are_all_that_is_left_of_weights_and_the_attacker_may_see_less(digit_splits):
    target = LINEAR.fit(digit_splits.members, 0)
    hardened, x = OutputPolicy(decimals=2)(target), digit_splits.nonmembers.x
    assert (target.model.access, hardened.model.access) == (Access.WEIGHTS, Access.SCORES)
    assert np.array_equal(hardened.view(ThreatModel()).scores(x), target.model.scores(x).round(2))
    assert np.array_equal(hardened.view(ThreatModel(decimals=1)).scores(x), target.model.scores(x).round(2).round(1))
    with pytest.raises(AccessDenied, match="can show no more than scores"):
        hardened.view(ThreatModel(Access.WEIGHTS)).estimator()
    strict = OutputPolicy(label_only=True)(hardened)
    assert strict.model.access is OutputPolicy(decimals=2)(strict).model.access is Access.LABEL


def test_predictions_of_a_regressor_are_rounded(patients):
    table = patients.x[patients.x.columns[:3]]
    recipe = SklearnRecipe(LinearRegression())
    records = Records.of(table, table.iloc[:, 0].to_numpy() * 1.2345)
    plain, hardened = recipe.fit(records, 0), OutputPolicy(decimals=1)(recipe).fit(records, 0)
    assert hardened.model.classes == ()
    assert np.array_equal(hardened.view(ThreatModel()).labels(table), plain.model.labels(table).round(1))
    assert np.array_equal(OutputPolicy(top_k=1)(plain).model.labels(table), plain.model.labels(table))


def test_a_table_model_answers_hardened(patients):
    recipe = SklearnRecipe(LogisticRegression(max_iter=3000))
    records = Records.of(patients.x[patients.x.columns[:6]], patients.y)
    hardened = OutputPolicy(decimals=1)(recipe).fit(records, 0)
    assert set(np.unique(hardened.view(ThreatModel()).scores(records.x))) <= {value / 10 for value in range(11)}
    assert hardened.model.inputs.columns == tuple(records.x.columns)


def test_the_attacker_trains_shadows_behind_the_same_policy(learnt):
    recipe = OutputPolicy(decimals=1)(learnt.recipe)
    assert isinstance(recipe, HardenedFromStart)
    assert recipe.key not in (learnt.recipe.key, OutputPolicy(decimals=2)(learnt.recipe).key)
    answers, inside = ShadowPool(recipe).answers(learnt.splits.members, 4)
    plain, same = ShadowPool(learnt.recipe).answers(learnt.splits.members, 4)
    assert recipe.stacks(learnt.splits.members)  # several shadows are one program, as without the policy
    assert np.array_equal(inside, same)
    np.testing.assert_allclose(answers, plain.round(1), atol=0.11)
    assert np.array_equal(answers, answers.round(1))
    start = recipe.untrained(learnt.splits.members, 0)
    assert (start.name, recipe.fit(learnt.splits.members, 0).name) == ("untrained", "retrained")
    assert isinstance(start.model, Hardened)


def test_a_recipe_that_cannot_start_untrained_stays_one():
    recipe = OutputPolicy()(LINEAR)
    assert type(recipe) is HardenedRecipe
    assert not hasattr(recipe, "untrained")
    assert not recipe.stacks(None)
    assert pickle.loads(pickle.dumps(recipe)).key == recipe.key


def test_an_audit_attacks_the_hardened_target_with_all_that_fits(digits, digit_splits):
    order = np.random.default_rng(0).permutation(len(digits))
    splits = replace(digit_splits, public=digits.take(order[700:1000]))
    recipe = OutputPolicy(decimals=1)(LINEAR)
    report = sl.audit(
        recipe.fit(digit_splits.members, 0),
        splits,
        ThreatModel(Access.WEIGHTS, queries=2000),
        recipe=recipe,
        only=["M"],
        seconds=8,
    )
    ran = {item.code for item in report.findings if item.status is not Status.NOT_RUN}
    assert {"M001", "M002", "M003", "M004", "M005", "M006", "M007"} <= ran
    assert all(item.reason for item in report.findings if item.status is Status.NOT_RUN)


def test_inputs_are_told_apart_by_what_they_hold():
    images = np.random.default_rng(0).random((5, 1, 4, 4)).astype(np.float32)
    twice = keys(np.concatenate([images, images]))
    assert twice.dtype == np.uint64
    assert np.array_equal(twice[:5], twice[5:])
    assert len(set(twice.tolist())) == 5
    assert np.array_equal(keys(np.zeros((1, 4))), keys(-np.zeros((1, 4))))
    assert np.array_equal(keys(images.astype(float)), keys(images))
    table = pd.DataFrame({"a": [1, 2, 1], "b": ["x", "y", "x"]})
    assert keys(table)[0] == keys(table)[2] != keys(table)[1]
    assert np.array_equal(keys(table), keys(table.astype({"a": float})))
    assert np.array_equal(keys(table.astype({"b": "category"})), keys(table))
    assert np.array_equal(keys(table.iloc[1:]), keys(table)[1:])


def test_a_draw_follows_the_input_and_the_secret():
    key = np.array([7, 8, 7], dtype=np.uint64)
    one, other = (per_input(key, lambda rng: rng.normal(size=2), secret) for secret in (0, 1))
    assert np.array_equal(one[0], one[2])
    assert not np.isclose(one, other).any()
    assert not np.isclose(one[0], one[1]).any()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="top_k is 0; use a whole number of at least 1"):
        OutputPolicy(top_k=0)
    with pytest.raises(InputError, match="decimals is -1; use a whole number of at least 0"):
        OutputPolicy(decimals=-1)
    with pytest.raises(InputError, match=r"temperature is 0\.0; use a number above 0"):
        OutputPolicy(temperature=0.0)
    assert defence_of("output-policy", {"top_k": 3}) == OutputPolicy(top_k=3)
