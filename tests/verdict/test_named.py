"""Judging who is who: right links are a leak, strangers set the threshold, and luck keeps its promise."""

import numpy as np
import pytest
from scipy.stats import binom

from safelight.evidence import Links
from safelight.verdict.named import of_names


def named(rng, share, members=200, strangers=100, shuffled=None):
    """Judge links of which this share of the members' is right; those score 5 higher."""
    n = members + strangers
    owner = rng.permutation(members)
    place = np.argsort(owner)
    member = np.arange(n) < members
    right = member & (rng.random(n) < share)
    row = np.where(right, place[np.minimum(np.arange(n), members - 1)], rng.integers(0, members, n))
    links = Links(row, rng.normal(size=n) + 5 * right, np.ones(n))
    equality = np.where(member, 0.25, 0.0)
    return of_names(links, owner.astype(str), np.arange(n).astype(str), member, equality, shuffled, 0.01, rng)


def number(outcome, name):
    return next(item for item in outcome.measured if item.name == name)


def test_right_links_are_a_leak_with_their_numbers():
    outcome = named(np.random.default_rng(0), 0.4, shuffled=0.015)
    assert outcome.p < 1e-3
    assert outcome.bound > 0.25
    found = number(outcome, "named")
    assert found.low < 0.4 < found.high
    assert found.control == 0.015
    assert number(outcome, "named_by_equality").value == pytest.approx(0.25)
    assert number(outcome, "named_at_false_0.01").value == pytest.approx(found.value, abs=0.03)
    assert number(outcome, "named_surest").value > 0.85
    assert outcome.powered


def test_wrong_links_with_high_scores_do_not_count_at_few_false_ones():
    outcome = named(np.random.default_rng(1), 0.0)
    assert number(outcome, "named_at_false_0.01").value < 0.03
    assert number(outcome, "named").control == 1 / 200  # a random row, where no release was shuffled


def test_where_nothing_leaks_alarms_are_rare():
    rng = np.random.default_rng(2)
    alarms = sum(named(rng, 0.0, members=60, strangers=0).p <= 0.05 for _ in range(100))
    assert binom.sf(alarms - 1, 100, 0.05) > 1e-3


def test_few_people_settle_nothing():
    outcome = named(np.random.default_rng(3), 0.0, members=8, strangers=2)
    assert not outcome.powered
    assert outcome.settle == "8 people in a release of 8 rows cannot show that 5 % are linked; more would"
