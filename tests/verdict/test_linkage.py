"""Judging links and conditions: a leak is found, none is silent, and the p-values keep their promise."""

import numpy as np
import pytest
from scipy.stats import binom, hypergeom

from safelight.verdict.levels import Policy
from safelight.verdict.linkage import _dealt_p, of_links, of_singling_out


def links(rng, main, control, blind=0.0, n=200, m=150, person=None):
    linked = np.concatenate([rng.random(n) < main, rng.random(m) < control])
    return of_links(linked, np.arange(n + m) < n, rng.random(n + m) < blind, 0.01, Policy(), rng, person)


def number(outcome, name):
    return next(item for item in outcome.measured if item.name == name)


def test_links_of_members_are_a_leak_only_beyond_others_and_beyond_blind_pairs():
    rng = np.random.default_rng(0)
    found = links(rng, 0.7, 0.1)
    assert found.p < 1e-3
    assert number(found, "risk").low < 0.667 < number(found, "risk").high
    assert number(found, "linked").control == pytest.approx(0.1, abs=0.06)
    assert links(rng, 0.7, 0.7).p > 0.01
    assert links(rng, 0.7, 0.1, blind=0.7).p > 0.01
    assert links(rng, 0.1, 0.1).powered
    assert "more members and nonmembers would settle it" in links(rng, 0.5, 0.5, n=20, m=20).settle


def test_p_values_of_links_keep_their_promise_where_nothing_leaks():
    rng = np.random.default_rng(1)
    alarms = sum(links(rng, 0.3, 0.3, n=60, m=40).p <= 0.05 for _ in range(200))
    assert binom.sf(alarms - 1, 200, 0.05) > 1e-3


def test_all_rows_of_a_person_change_sides_together():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(10), 35)  # ten people: no split of them is rarer than 1 of 100
    linked = person < 6
    found = of_links(linked, person < 6, np.zeros(350, bool), 0.01, Policy(), rng, person)
    assert found.p == pytest.approx(1 / 210, abs=2e-3)


def conditions(rng, n, m, own):
    """Return which of n + m records 100 conditions hold for; the first `own` hold for one member each."""
    holds = rng.random((100, n + m)) < 0.3 / n
    holds[:own, :n] = False
    holds[np.arange(own), np.arange(own)] = True
    return holds


def test_conditions_that_hold_for_one_member_each_are_a_leak():
    rng = np.random.default_rng(3)
    blind = rng.random((100, 350)) < 0.001
    found = of_singling_out("singled_out_by_one", conditions(rng, 200, 150, 80), np.arange(350) < 200, blind,
                            0.01, Policy(), rng)  # fmt: skip
    assert found.p < 1e-3
    assert number(found, "singled_out_by_one").value > 0.75
    assert number(found, "risk").low > 0.5


def test_p_values_of_conditions_keep_their_promise_though_all_meet_the_same_records():
    rng, alarms = np.random.default_rng(4), 0
    for _ in range(200):
        holds = conditions(rng, 60, 40, 0)
        holds[:, rng.integers(100, size=5)] |= rng.random((100, 5)) < 0.3  # records that many conditions hold for
        shuffled = holds[:, rng.permutation(100)]
        alone = (shuffled[:, :60].sum(axis=1) == 1).sum()
        alarms += _dealt_p(shuffled[:, shuffled.any(axis=0)], alone, 60, 40, rng, 199) <= 0.05
    assert binom.sf(alarms - 1, 200, 0.05) > 1e-3


def test_dealing_anew_is_hypergeometric_for_a_single_condition():
    rng = np.random.default_rng(5)
    p = _dealt_p(np.ones((1, 3), dtype=bool), 1, 6, 4, rng, 20000)
    assert p == pytest.approx(hypergeom.pmf(1, 10, 6, 3), abs=0.01)
