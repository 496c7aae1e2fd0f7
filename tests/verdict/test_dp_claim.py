"""Promises of differential privacy against audits of known strength: true ones stand, broken ones fall."""

import math

import numpy as np
import pytest

from safelight.controls.coins.base import Guesses
from safelight.errors import InputError
from safelight.measures.one_run import epsilon_one_run
from safelight.measures.trade_off import DpSgd
from safelight.threat import Access, ThreatModel
from safelight.verdict.dp_claim import Answer, DpClaim, check_claim
from safelight.verdict.finding import Finding, Status
from safelight.verdict.levels import Policy
from safelight.verdict.outcome import of_coins


def finding(coins, guesses, right, unit="record", adjacency="add-remove", candidates=2, code="M003"):
    outcome = of_coins(Guesses(coins, guesses, right, candidates), guesses, 0.01, Policy())
    return Finding(code, "x", "t", Status.NONE, "", "membership", "recipe", unit, adjacency, 1,
                   ThreatModel(Access.SCORES), outcome.measured, outcome.p)  # fmt: skip


def test_randomised_response_keeps_its_promise():
    """A true (8, 0) claim on 1,000 coins, 200 runs: refuted in no more than 5 %."""
    rng = np.random.default_rng(0)
    right = rng.binomial(1000, 1 / (1 + math.exp(-8)), 200)
    claim = DpClaim(8.0, 0.0)
    refuted = [check_claim(claim, [finding(1000, 1000, int(count))]).answer is Answer.REFUTED for count in right]
    assert np.mean(refuted) <= 0.05
    assert check_claim(DpClaim(3.0, 0.0), [finding(1000, 1000, int(right[0]))]).answer is Answer.REFUTED


def test_a_small_audit_says_how_far_it_reaches():
    answer = check_claim(DpClaim(8.0, 1e-5), [finding(100, 100, 100)])
    assert answer.answer is Answer.STANDS
    assert answer.reach == pytest.approx(3.4902, abs=1e-3), "Steinke's bound with every guess right"
    assert check_claim(DpClaim(3.4, 1e-5), [finding(100, 100, 100)]).answer is Answer.REFUTED


def test_several_findings_share_the_level():
    strong, weak = finding(100, 100, 75), finding(100, 100, 50, code="M001")
    claim = DpClaim(0.69, 1e-5)
    assert check_claim(claim, [strong]).answer is Answer.REFUTED
    both = check_claim(claim, [strong, weak])
    assert both.level == pytest.approx(0.025)
    assert both.answer is Answer.STANDS


def test_adjacencies_and_units_are_translated_or_refused():
    replaced = check_claim(DpClaim(1.0, 0.0), [finding(500, 500, 400, adjacency="replace")]).tests[0]
    assert replaced.epsilon == 2.0, "replacing is removing and adding"
    assert replaced.why_not == ""
    untestable = check_claim(DpClaim(1.0, 0.0, adjacency="replace"), [finding(500, 500, 500)])
    assert untestable.answer is Answer.UNKNOWN
    assert "the promise is about replacing" in untestable.tests[0].why_not
    people = finding(20, 20, 20, unit="person", adjacency="replace")
    assert check_claim(DpClaim(0.1, 0.0), [people]).answer is Answer.UNKNOWN
    assert check_claim(DpClaim(0.1, 0.0, per_person=7), [people]).tests[0].epsilon == pytest.approx(1.4)
    assert check_claim(DpClaim(0.1, 0.0, unit="person"), [people]).answer is Answer.REFUTED
    assert check_claim(DpClaim(1.0, 0.0), []).answer is Answer.UNKNOWN


def test_the_mechanisms_own_curve_sees_more_than_its_epsilon():
    """sigma 1, one step, every record: epsilon 4.38 at 1e-5. The Gaussian's own curve is far below that of the pair."""
    mechanism = DpSgd(1.0, 1.0, 1)
    promise = mechanism.epsilon(1e-5)
    counts = finding(1000, 1000, 960)
    assert check_claim(DpClaim(promise, 1e-5), [counts]).answer is Answer.STANDS
    assert check_claim(DpClaim(promise, 1e-5, mechanism=mechanism), [counts]).answer is Answer.REFUTED
    fair = finding(1000, 1000, round(1000 * 0.69))
    assert check_claim(DpClaim(promise, 1e-5, mechanism=mechanism), [fair]).answer is Answer.STANDS


def test_bound_and_reach_are_those_of_the_curve_that_decides():
    """Without a mechanism Steinke's; with one, of the same training with less noise: never refuted below the claim."""
    counts = finding(300, 240, 205)
    plain = check_claim(DpClaim(3.0, 1e-5), [counts]).tests[0]
    assert plain.bound == pytest.approx(epsilon_one_run(300, 240, 205, 1e-5), rel=1e-6)
    assert plain.reach == pytest.approx(epsilon_one_run(300, 240, 240, 1e-5), rel=1e-6)
    mechanism = DpSgd(3.0, 0.3, 10)
    own = check_claim(DpClaim(3.0, 1e-5, mechanism=mechanism), [counts]).tests[0]
    assert max(plain.bound, mechanism.epsilon(1e-5)) < own.bound < own.reach
    assert own.refuted


def test_words_that_are_no_unit_are_said():
    with pytest.raises(InputError, match="unit is 'patient'; use record or person"):
        DpClaim(1.0, 0.0, unit="patient")
    with pytest.raises(InputError, match="epsilon must be"):
        DpClaim(-1.0, 0.0)
