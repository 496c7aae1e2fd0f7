"""What holds for every membership attack: a planted leak is found, a null target is not, the door is kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeRegressor

from safelight.attacks.base import all_attacks, settings
from safelight.attacks.membership.bavaria import Bavaria
from safelight.attacks.membership.lira import Lira
from safelight.attacks.membership.loss import LossThreshold
from safelight.attacks.membership.quantile import QuantileRegression
from safelight.attacks.membership.rmia import Rmia
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, concat
from safelight.docstrings import paragraph
from safelight.errors import AccessDenied, BudgetSpent
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side, Table
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel

ATTACKS = [LossThreshold(), Rmia(references=2, population=100), Lira(references=8), Bavaria(references=4)]
ATTACKS += [QuantileRegression()]
FOREST = SklearnRecipe(RandomForestClassifier(15))


def named(attack: object) -> str:
    return type(attack).__name__


def table(count: int, seed: int) -> Records:
    x, y = make_classification(
        count, 8, n_informative=4, n_classes=3, flip_y=0.3, random_state=seed, shift=0.0, class_sep=0.8
    )
    return Records.of(pd.DataFrame(x, columns=[f"m{i}" for i in range(8)]), y)


def parts(records: Records, sizes: tuple[int, int, int], seed: int = 0) -> list[Records]:
    order = np.random.default_rng(seed).permutation(len(records))
    ends = np.cumsum(sizes)
    return [records.take(order[end - size : end]) for end, size in zip(ends, sizes)]


def asked(attack, recipe, members, nonmembers, public, target=None, seed=0, **threat):
    """Return scores (n,) and which records are members."""
    target = target or recipe.fit(members, seed)
    view = target.view(ThreatModel(**{"access": Access.SCORES, **threat}), Side(public, ShadowPool(recipe)))
    answer = attack.run(view, WhoWasIn(concat([members, nonmembers])), np.random.default_rng(seed))
    assert answer.values.shape == (len(members) + len(nonmembers), 1)
    return answer.values[:, 0], np.arange(len(answer.values)) < len(members), view


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_it_is_found_and_documents_itself(attack):
    assert all_attacks()[attack.code] is type(attack)
    for heading in ("What it shows:", "Who could do it:", "How to lower it:"):
        assert len(paragraph(type(attack), heading)) > 30
    assert all(f"{name}:" in type(attack).__doc__ for name in settings(attack))


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_forest_that_fits_single_records_gives_members_away(attack):
    members, nonmembers, public = parts(table(450, 1), (150, 150, 150))
    scores, inside, _ = asked(attack, FOREST, members, nonmembers, public)
    # 150 public records teach a regression little of how hard a record is.
    assert roc_auc_score(inside, scores) > (0.85 if isinstance(attack, QuantileRegression) else 0.9)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_pictures_work_too(attack, digits):
    noisy = np.random.default_rng(0).integers(0, 10, 400)
    records = digits.take(np.arange(400)).relabelled(noisy)
    members, nonmembers, public = parts(records, (120, 120, 160))
    recipe = SklearnRecipe(RandomForestClassifier(10), Images((1, 8, 8)))
    scores, inside, _ = asked(attack, recipe, members, nonmembers, public)
    assert roc_auc_score(inside, scores) > 0.9


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_leak_of_a_third_measures_a_third(attack):
    members, nonmembers, public = parts(table(1400, 2), (600, 600, 200))
    recipe = LeakyRecipe(Table(tuple(members.x.columns)), pictures=False, leak=1 / 3)
    scores, inside, _ = asked(attack, recipe, members, nonmembers, public)
    # Remembered members beat everyone; all others are told apart by their class alone, which says nothing.
    expected = 1 / 3 + 2 / 3 / 2
    assert abs(roc_auc_score(inside, scores) - expected) < 0.06
    assert 150 <= (scores[inside] > scores[~inside].max()).sum() <= 250


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_model_that_never_saw_any_of_them_gives_nothing_away(attack):
    aucs = []
    for seed in range(6):
        strangers, *pools = parts(table(650, 10 + seed), (150, 400, 100), seed)
        first, second, _ = parts(pools[0], (200, 200, 0), seed)
        scores, inside, _ = asked(attack, FOREST, first, second, pools[1], FOREST.fit(strangers, seed), seed)
        aucs.append(roc_auc_score(inside, scores))
    # One AUC of 200 against 200 has a deviation of 0.029 when nothing leaks, the mean of six 0.012.
    assert abs(np.mean(aucs) - 0.5) < 0.04


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_it_is_refused_one_level_lower_and_sends_nothing(attack):
    members, nonmembers, public = parts(table(90, 3), (30, 30, 30))
    with pytest.raises(AccessDenied, match="needs scores and the threat model grants label"):
        asked(attack, FOREST, members, nonmembers, public, access=Access.LABEL)


@pytest.mark.parametrize(
    ("attack", "least"), list(zip(ATTACKS, (1, 2, 1, 1, 21))), ids=[named(item) for item in ATTACKS]
)
def test_a_small_budget_asks_some_and_gives_the_rest_the_median(attack, least):
    members, nonmembers, public = parts(table(300, 4), (100, 100, 100))
    scores, _, view = asked(attack, FOREST, members, nonmembers, public, queries=80)
    assert view.spent == 80
    values, counts = np.unique(scores, return_counts=True)
    others = np.delete(scores, np.flatnonzero(scores == values[counts.argmax()]))
    assert counts.max() >= 120
    assert np.isclose(values[counts.argmax()], np.median(others), atol=np.ptp(others) / 20)
    assert 20 <= len(others) <= 80
    # The same budget with another seed asks others.
    again, _, _ = asked(attack, FOREST, members, nonmembers, public, queries=80, seed=1)
    assert not np.array_equal(scores == np.median(scores), again == np.median(again))
    spent = FOREST.fit(members, 0).view(ThreatModel(queries=least), Side(public, ShadowPool(FOREST)))
    spent.spent = 1
    with pytest.raises(BudgetSpent, match="nothing was sent"):
        attack.run(spent, WhoWasIn(members), np.random.default_rng(0))
    assert spent.spent == 1


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_the_same_seed_gives_the_same_answer(attack):
    members, nonmembers, public = parts(table(150, 5), (50, 50, 50))
    first, second = (asked(attack, FOREST, members, nonmembers, public, queries=90)[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_short_and_rounded_answers_still_give_members_away(attack):
    members, nonmembers, public = parts(table(450, 6), (150, 150, 150))
    for limit in ({"top_k": 1}, {"decimals": 1}, {"top_k": 1, "decimals": 1}):
        scores, inside, _ = asked(attack, FOREST, members, nonmembers, public, **limit)
        assert np.isfinite(scores).all()
        assert roc_auc_score(inside, scores) > 0.85, limit


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_regressors_are_asked_for_predictions(attack):
    rng = np.random.default_rng(0)
    records = table(450, 7)
    records = records.relabelled(records.x["m0"].to_numpy() + rng.normal(0, 1, 450))
    members, nonmembers, public = parts(records, (150, 150, 150))
    scores, inside, _ = asked(attack, SklearnRecipe(DecisionTreeRegressor()), members, nonmembers, public)
    assert roc_auc_score(inside, scores) > 0.75
    scores, inside, _ = asked(attack, SklearnRecipe(LinearRegression()), members, nonmembers, public)
    assert abs(roc_auc_score(inside, scores) - 0.5) < 0.15


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_dividing_out_difficulty_beats_the_loss_alone():
    members, nonmembers, public = parts(table(900, 8), (300, 300, 300))
    recipe = SklearnRecipe(MLPClassifier((64,), max_iter=60, learning_rate_init=0.01))
    loss, inside, _ = asked(LossThreshold(), recipe, members, nonmembers, public)
    rmia, _, _ = asked(Rmia(), recipe, members, nonmembers, public)
    assert roc_auc_score(inside, rmia) > roc_auc_score(inside, loss) + 0.02
