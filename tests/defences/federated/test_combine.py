"""Rules that make one step of many updates: literal versions, and how far one bad client moves them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safelight.defences.federated.combine import Krum, Mean, Median, TrimmedMean, clipped
from safelight.errors import InputError

ROBUST = [Median(), TrimmedMean(0.2), Krum(2), Krum(2, keep=4)]


def drawn(seed, n=11, d=7):
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("rule", ROBUST, ids=str)
def test_two_bad_clients_of_eleven_do_not_move_a_robust_rule_and_move_the_mean(rule):
    honest, weights = drawn(0), np.ones(11)
    bad = honest.copy()
    bad[[3, 8]] = 1e6
    assert np.abs(rule(bad, weights) - honest.mean(axis=0)).max() < 3
    assert np.abs(Mean()(bad, weights)).max() > 1e5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_krum_is_its_literal_version(seed):
    updates, bad = drawn(seed), 2
    scores = []
    for i, update in enumerate(updates):
        apart = sorted(float(((update - other) ** 2).sum()) for j, other in enumerate(updates) if j != i)
        scores.append(sum(apart[: len(updates) - bad - 2]))
    assert np.allclose(Krum(bad)(updates, np.ones(11)), updates[int(np.argmin(scores))])


def test_the_others_are_their_literal_versions():
    updates, weights = drawn(1), np.arange(11.0)
    assert np.allclose(Mean()(updates, weights), sum(w * u for w, u in zip(weights, updates)) / weights.sum())
    for column in range(7):
        values = sorted(updates[:, column])
        assert np.isclose(Median()(updates, weights)[column], values[5])
        assert np.isclose(TrimmedMean(0.2)(updates, weights)[column], np.mean(values[3:8]))


def test_a_long_update_is_shortened_and_a_short_one_left():
    update = np.array([3.0, 4.0])
    assert np.allclose(clipped(update, 1.0), [0.6, 0.8])
    assert clipped(update, 5.0) is update


def test_rules_with_too_few_updates_are_refused():
    with pytest.raises(InputError, match="bad = 2 and keep = 1 needs at least 7 updates, and 6 came; lower bad"):
        Krum(2)(drawn(0, 6), np.ones(6))
    with pytest.raises(InputError, match="leaves out 2 of 4 clients at either end keeps none; lower share"):
        TrimmedMean(0.4)(drawn(0, 4), np.ones(4))
