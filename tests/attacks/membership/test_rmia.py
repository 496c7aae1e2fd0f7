from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_curve
from sklearn.neural_network import MLPClassifier

from safelight.attacks.membership.rmia import Rmia, log_ratios, offline_usual, online_usual, share_beaten
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, concat
from safelight.errors import AccessDenied, InputError
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Images, Side
from safelight.threat import Access, Knows, ThreatModel


def literal(target_x, out_x, target_z, out_z, a, gamma):
    """Zarifzadeh et al. 2024, offline, one record and one z at a time; out_* hold lists of out models' confidences."""
    share = []
    for p, outs in zip(target_x, out_x):
        ratio = p / (0.5 * ((1 + a) * np.mean(outs) + (1 - a)))
        beaten = [
            ratio / (q / (0.5 * ((1 + a) * np.mean(others) + (1 - a)))) >= gamma for q, others in zip(target_z, out_z)
        ]
        share.append(np.mean(beaten))
    return np.array(share)


@pytest.mark.parametrize("gamma", [1.0, 1.3])
def test_the_share_is_the_papers_and_ties_keep_the_order_of_the_ratio(gamma):
    rng = np.random.default_rng(0)
    target, references = rng.random(150), rng.random((4, 150))
    out = np.zeros((4, 150), bool)
    out[:2] = rng.random((2, 150)) < 0.5
    out[2:] = ~out[:2]
    ratios = log_ratios(target, offline_usual(references, out, 0.3))
    got = share_beaten(ratios[:100], ratios[100:], gamma)
    outs = [references[out[:, i], i] for i in range(150)]
    paper = literal(target[:100], outs[:100], target[100:], outs[100:], 0.3, gamma)
    assert np.array_equal(np.floor(got * 51), np.round(paper * 50))
    assert np.array_equal(np.argsort(got), np.argsort(ratios[:100]))
    assert len(np.unique(paper)) < 60 < len(np.unique(got)) == 100
    assert ((got > 0) & (got < 1)).all()


def test_online_takes_both_sides_alike():
    references, out = (
        np.array([[0.9, 0.2], [0.8, 0.4], [0.1, 0.6], [0.3, 0.8]]),
        np.array([[0, 1], [0, 1], [1, 0], [1, 0]]),
    )
    assert np.allclose(online_usual(references, out.astype(bool)), [(0.85 + 0.2) / 2, (0.7 + 0.3) / 2])


def test_a_nonmember_ranks_among_public_records_like_one_of_them(digits):
    members, others, public = (digits.take(np.arange(a, b)) for a, b in ((0, 300), (300, 700), (700, 1100)))
    recipe = SklearnRecipe(RandomForestClassifier(20), Images((1, 8, 8)))
    view = recipe.fit(members, 0).view(ThreatModel(), Side(public, ShadowPool(recipe)))
    got = Rmia().run(view, WhoWasIn(others), np.random.default_rng(0)).values
    assert abs(got.mean() - 0.5) < 0.06


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_records_of_equal_share_do_not_tie(digits):
    rng = np.random.default_rng(0)
    order = rng.permutation(len(digits))
    wrong = np.where(rng.random(len(digits)) < 0.2, rng.integers(0, 10, len(digits)), digits.y)
    records = digits.relabelled(wrong)
    members, nonmembers, public = (records.take(order[a:b]) for a, b in ((0, 400), (400, 800), (800, 1100)))
    recipe = SklearnRecipe(MLPClassifier((128,), max_iter=120, learning_rate_init=0.01), Images((1, 8, 8)))
    view = recipe.fit(members, 0).view(ThreatModel(), Side(public, ShadowPool(recipe)))
    got = (
        Rmia(references=4, population=20)
        .run(view, WhoWasIn(concat([members, nonmembers])), np.random.default_rng(0))
        .values[:, 0]
    )
    share = np.floor(got * 21)
    inside = np.arange(800) < 400
    # The paper's share has few steps, so that no threshold lies where the FPR is just below 1 %.
    assert len(np.unique(share)) <= 21
    assert len(np.unique(got)) == 800
    assert true_positives(inside, got) > true_positives(inside, share) + 0.01
    assert view.spent == 820


def true_positives(inside, scores):
    """Return the TPR at the largest reachable FPR of at most 1 %."""
    fpr, tpr, _ = roc_curve(inside, scores, drop_intermediate=False)
    return tpr[np.searchsorted(fpr, 0.01, side="right") - 1]


def test_it_needs_public_records_and_a_recipe():
    records = Records.of(pd.DataFrame({"a": np.arange(20.0)}), np.arange(20) % 2)
    recipe = SklearnRecipe(RandomForestClassifier(3))
    target = recipe.fit(records, 0)
    assert Rmia.knows == {Knows.PUBLIC, Knows.RECIPE}
    for side, missing in (
        (Side(shadows=ShadowPool(recipe)), "public records"),
        (Side(records), "a way to train"),
    ):
        view = target.view(ThreatModel(), side)
        with pytest.raises(AccessDenied, match=f"This attack needs {missing}"):
            Rmia().run(view, WhoWasIn(records), np.random.default_rng(0))
        assert view.spent == 0
    with pytest.raises(InputError, match="references is 1; use at least 2"):
        Rmia(references=1).run(
            target.view(ThreatModel(), Side(records, ShadowPool(recipe))), WhoWasIn(records), np.random.default_rng(0)
        )


def test_references_cost_no_query_of_the_target():
    x = pd.DataFrame({"a": np.arange(60.0)})
    records = Records.of(x, np.arange(60) % 2)
    question, public = records.take(np.arange(20)), records.take(np.arange(20, 60))
    recipe = SklearnRecipe(RandomForestClassifier(3))
    view = recipe.fit(question, 0).view(ThreatModel(Access.SCORES, queries=45), Side(public, ShadowPool(recipe)))
    Rmia(references=4, population=25).run(view, WhoWasIn(question), np.random.default_rng(0))
    assert view.spent == 45


def test_the_reference_figures_are_reached():
    """Stacked MLPs on breast cancer, half of the records in each: loss AUC .513, RMIA with 4 references .559."""
    path = Path(__file__).parents[3] / "benchmarks" / "membership_reference.py"
    spec = importlib.util.spec_from_file_location("membership_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["membership_reference"] = module
    spec.loader.exec_module(module)
    setting = next(setting for setting in module.SETTINGS if setting.name == "cancer")
    result = module.run(setting, seed=0)
    for name, goal in setting.expected.items():
        assert abs(result[name][0] - goal) <= 0.02
    assert result["M002 RMIA"][1] > result["M001 loss"][1]
