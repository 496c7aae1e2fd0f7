"""Quantile regression: what it expects of a record, and that it needs public records to do so."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from safelight.attacks.membership.quantile import QuantileRegression, described, expected
from safelight.data.records import Records
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import WhoWasIn
from safelight.recipes.sklearn import SklearnRecipe
from safelight.targets.base import Side
from safelight.threat import Access, ThreatModel


def test_mean_and_spread_follow_the_record():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (6000, 2))
    values = 3 * x[:, 0] + np.exp(x[:, 1]) * rng.standard_normal(6000)
    asked = np.array([[-0.8, -0.8], [0.8, -0.8], [0.0, 0.8]])
    mean, spread = expected(x, values, asked, rounds=100)
    assert np.allclose(mean, [-2.4, 2.4, 0.0], atol=0.5)
    assert np.allclose(spread, np.exp([-0.8, -0.8, 0.8]), rtol=0.35)


def test_nonmembers_lie_above_a_quantile_as_often_as_it_says():
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (4000, 3))
    values = np.sin(3 * x[:, 0]) + (0.5 + x[:, 1] ** 2) * rng.standard_normal(4000)
    mean, spread = expected(x[:2000], values[:2000], x[2000:], rounds=50)
    above = (values[2000:] - mean) / spread
    assert abs((above > 1.645).mean() - 0.05) < 0.025
    assert abs((above > 0).mean() - 0.5) < 0.05


def test_signals_that_are_all_alike_stay_finite():
    mean, spread = expected(np.arange(40.0)[:, None], np.full(40, 2.0), np.array([[3.0]]), rounds=5)
    assert mean[0] == pytest.approx(2.0)
    assert np.isfinite(1 / spread).all()


def test_images_are_described_by_what_is_public_alone(digits):
    few, many = digits.take(np.arange(60)), digits.take(np.arange(90))
    assert np.allclose(described(few, 10, 50, 5)[:50], described(many, 10, 50, 5)[:50])
    assert described(few, 10, 50, 5).shape == (60, 15)


def test_it_needs_public_records_and_queries_for_them():
    records = Records.of(pd.DataFrame({"a": np.arange(60.0)}), np.arange(60) % 2)
    target = SklearnRecipe(LogisticRegression()).fit(records, 0)
    with pytest.raises(AccessDenied, match="needs public records"):
        QuantileRegression().run(target.view(ThreatModel()), WhoWasIn(records), np.random.default_rng(0))
    view = target.view(ThreatModel(Access.SCORES, queries=15), Side(records))
    with pytest.raises(BudgetSpent, match="at least 20 public records, and the 15 queries left"):
        QuantileRegression().run(view, WhoWasIn(records), np.random.default_rng(0))
    assert view.spent == 0
    view = target.view(ThreatModel(Access.SCORES), Side(records.take(np.arange(12))))
    with pytest.raises(InputError, match="at least 20 public records, and there are 12"):
        QuantileRegression().run(view, WhoWasIn(records), np.random.default_rng(0))
    strangers = target.view(ThreatModel(Access.SCORES), Side(records.relabelled(records.y + 2)))
    with pytest.raises(AccessDenied, match="of classes that the target knows"):
        QuantileRegression().run(strangers, WhoWasIn(records), np.random.default_rng(0))
