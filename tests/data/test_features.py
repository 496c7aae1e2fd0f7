"""Blind features: their scale, and what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd

from safelight.data.bundled import digits
from safelight.data.features import MOST_LEVELS, blind_features, picture_features, standardised, table_features
from safelight.data.records import Records


def test_columns_are_standardised_and_constant_ones_are_zero() -> None:
    columns = standardised(np.column_stack([np.arange(5.0) * 1e-3, np.full(5, 0.1), np.arange(5.0) + 1e9]))
    assert np.allclose(columns.mean(axis=0), 0)
    assert np.allclose(columns.std(axis=0), [1, 0, 1])


def test_numbers_become_ranks_and_words_columns() -> None:
    table = pd.DataFrame({"pay": [10.0, 1e9, 20.0], "sex": ["f", "m", "f"], "ok": [True, False, True]})
    features = table_features(table)
    assert features[:, 0].tolist() == [1, 3, 2]
    assert features[:, 1:3].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert features[:, -1].tolist() == [1, 0, 1]


def test_many_words_share_a_column_and_keep_their_order() -> None:
    days = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=100).strftime("%Y-%m-%d")})
    features = table_features(days)
    assert features.shape == (100, MOST_LEVELS + 2)
    assert features[:, MOST_LEVELS].sum() == 100 - MOST_LEVELS
    assert (np.diff(features[:, -1]) > 0).all()
    as_time = table_features(days.assign(day=pd.to_datetime(days["day"])))
    assert np.array_equal(as_time[:, 0], features[:, -1])


def test_statistics_see_light_noise_and_clipping() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((50, 1, 20, 20)).astype(np.float32) * 0.5 + 0.2
    plain = picture_features(np.concatenate([x, x + 0.2, np.clip(x, 0.3, 0.6)]), 5)
    first, lighter, clipped = plain[:50], plain[50:100], plain[100:]
    assert np.allclose(lighter[:, 0] - first[:, 0], 0.2, atol=1e-5)
    assert (clipped[:, 1] < first[:, 1]).all()
    assert (clipped[:, 6] < first[:, 6]).all()


def test_one_seed_gives_one_matrix_and_few_records_few_components() -> None:
    records = digits().take(np.arange(60))
    left, right = (blind_features(records, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(left, right)
    assert picture_features(records.x, 50).shape == (60, 8 + 6)
    assert np.isfinite(left).all()
    assert np.allclose(left[:, -100:].std(axis=0), 0.5)


def test_labels_are_seen() -> None:
    x = np.zeros((30, 1, 2, 2))
    y = np.arange(30) % 3
    features = blind_features(Records.of(x, y), np.random.default_rng(0), waves=0)
    assert len(np.unique(features, axis=0)) == 3
    real = blind_features(Records.of(x, np.arange(30) / 7), np.random.default_rng(0), waves=0)
    assert len(np.unique(real, axis=0)) == 30
