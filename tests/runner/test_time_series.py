"""Forecasters: windows of one series overlap, so that whole series, named as persons, are what is told apart."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

import safelight as sl
from safelight.attacks.base import all_attacks
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, concat
from safelight.errors import AccessDenied, InputError
from safelight.evidence import Scores, WhichRanges, WhichSets
from safelight.measures.roc import auc_p
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import ThreatModel
from safelight.verdict.finding import Status

LAGS = 6


def windows(count: int, rng: np.random.Generator, length: int = 30) -> Records:
    """Return `length` overlapping windows of each of `count` autoregressive series, some calm and some wild."""
    x, y = [], []
    for _ in range(count):
        size, values = np.exp(rng.normal()), np.zeros(length + LAGS)
        for t in range(1, len(values)):
            values[t] = 0.8 * values[t - 1] + size * rng.normal()
        seen = np.lib.stride_tricks.sliding_window_view(values, LAGS + 1)
        x.append(seen[:, :-1])
        y.append(seen[:, -1])
    table = pd.DataFrame(np.concatenate(x), columns=[f"lag{LAGS - i}" for i in range(LAGS)])
    return Records.of(table, np.concatenate(y), person=np.repeat(np.arange(count), length))


def three(seed: int) -> tuple[Records, Records, Records]:
    """Return 20 series each of members, nonmembers and others."""
    everyone = windows(60, np.random.default_rng(seed))
    return tuple(everyone.take((everyone.person >= a) & (everyone.person < a + 20)) for a in (0, 20, 40))  # type: ignore


def p_of(estimator: object, trained: Records, members: Records, nonmembers: Records, by_series: bool) -> float:
    """Return the p of the squared errors of members being smaller, by rows or by whole series."""
    model = estimator.fit(trained.x, trained.y)  # type: ignore[attr-defined]
    inside, outside = (-((group.y - model.predict(group.x)) ** 2) for group in (members, nonmembers))
    who = (members.person, nonmembers.person) if by_series else (None, None)
    return auc_p(inside, outside, np.random.default_rng(0), *who, draws=199)


@pytest.mark.parametrize("model", [LinearRegression(), DecisionTreeRegressor(random_state=0)], ids=["linear", "tree"])
def test_a_null_stays_at_chance_by_series_and_would_alarm_by_rows(model):
    """Sixty seeds: false alarms at a level of 5 %: 28 % by rows, 2 % by series."""
    alarms = dict.fromkeys((False, True), 0)
    for seed in range(40):
        members, nonmembers, others = three(seed)
        for by_series in alarms:
            alarms[by_series] += p_of(model, others, members, nonmembers, by_series) <= 0.05
    assert alarms[True] <= 5, "P(more than 5 of 40 at 5 %) is 1.4 %"
    assert alarms[False] >= 7, "rows of one series are no independent witnesses"


def test_a_forecaster_that_learnt_its_series_by_heart_is_found_by_series():
    members, nonmembers, _ = three(0)
    assert p_of(DecisionTreeRegressor(random_state=0), members, members, nonmembers, by_series=True) <= 0.01


def test_an_audit_flips_its_coins_over_series_and_finds_the_leak_but_none_where_nothing_is_learnt():
    members, nonmembers = windows(60, np.random.default_rng(0), 8), windows(60, np.random.default_rng(1), 8)
    nonmembers = Records(nonmembers.x, nonmembers.y, nonmembers.ids, nonmembers.person + 60)
    splits = sl.Splits(members, nonmembers, drawn=sl.Split.RANDOM)
    for model, leaks in ((DecisionTreeRegressor(random_state=0), True), (LinearRegression(), False)):
        recipe = SklearnRecipe(model)
        report = sl.audit(recipe.fit(members, 0), splits, recipe=recipe, only="M001")
        coins = next(item for item in report.findings if item.about == "recipe")
        assert coins.unit == "person"
        assert all(rung.ok is not False for rung in report.ladder)
        assert {item.status is Status.LEAK for item in report.findings} == {leaks}


MEMBERSHIP = {code: attack for code, attack in all_attacks().items() if code.startswith("M")}


@pytest.mark.parametrize("code", sorted(MEMBERSHIP))
def test_every_membership_attack_runs_on_a_regressor_or_refuses_in_one_sentence(code):
    attack = MEMBERSHIP[code]
    few = {"references": 4} if any(item.name == "references" for item in fields(attack)) else {}
    attack = attack(**few)
    members, nonmembers, public = three(3)
    recipe = SklearnRecipe(DecisionTreeRegressor(random_state=0))
    side = Side(public, ShadowPool(recipe))
    target = recipe.fit(members, 0)
    asked = concat([members, nonmembers])
    owner = {"owner": asked.person} if attack.answers is WhichSets else {}
    question = attack.answers(Records(asked.x, asked.y, asked.ids), **owner)
    if attack.answers is WhichRanges:
        with pytest.raises(InputError, match="rows of a table cannot be moved by pixels; give pictures"):
            attack.run(target.view(ThreatModel(), side), question, np.random.default_rng(0))
        return
    if getattr(attack, "misfit", None) is not None and (reason := attack.misfit(target.model, side)):
        assert reason == "a regressor has no label to change"
        with pytest.raises(AccessDenied, match="a regressor has none; use M001"):
            attack.run(target.view(ThreatModel(), side), question, np.random.default_rng(0))
        return
    answer = attack.run(target.view(ThreatModel(), side), question, np.random.default_rng(0))
    assert isinstance(answer, Scores)
    assert np.isfinite(answer.values).all()
    inside = np.arange(len(asked)) < len(members)
    scores = answer.values[:, 0]
    assert auc_p(scores[inside], scores[~inside], np.random.default_rng(0)) < 1e-6
