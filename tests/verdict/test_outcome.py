"""From evidence to numbers: planted strengths are measured, and what could have been seen is said."""

import numpy as np
import pytest

from safelight.controls.coins.base import Guesses
from safelight.verdict.finding import Status
from safelight.verdict.levels import Policy
from safelight.verdict.outcome import of_attribute, of_coins, of_membership, of_recognition, of_records
from safelight.verdict.reasons import reason

POLICY = Policy()
LEVEL = 0.001


def numbers(outcome):
    return {item.name: item for item in outcome.measured}


def test_coins_that_are_all_right():
    outcome = of_coins(Guesses(80, 80, 80, 2), 20, LEVEL, POLICY)
    found = numbers(outcome)
    assert outcome.p == pytest.approx(2.0**-80)
    assert outcome.powered
    assert found["mu"].value == pytest.approx(found["mu_ceiling"].value)
    assert (found["coins_correct"].value, found["coins_correct"].control) == (80, 40)
    assert found["success_detectable"].value < 0.75


def test_too_few_coins_say_how_many_would_settle_it():
    outcome = of_coins(Guesses(20, 20, 11, 2), 20, LEVEL, POLICY)
    assert not outcome.powered
    assert "runs) would settle it; it had 20" in outcome.settle
    assert outcome.settle in reason(outcome, Status.UNCLEAR, POLICY)


def test_a_planted_leak_of_three_in_ten_is_measured_within_its_interval():
    inside = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        right = int((rng.random(400) < 0.3 + 0.7 * 0.5).sum())
        found = numbers(of_coins(Guesses(400, 400, right, 2), 400, 0.05, POLICY))["success"]
        inside += found.low <= 0.65 <= found.high
    assert inside >= 18


def test_membership_finds_a_few_exposed_members_where_the_auc_does_not():
    rng = np.random.default_rng(0)
    member = np.arange(2000) < 1000
    scores = rng.normal(size=2000)
    scores[:60] = 10
    outcome = of_membership(scores, member, LEVEL, rng)
    found = numbers(outcome)
    assert found["auc"].value < 0.56
    assert found["tpr_at_fpr_0.01"].value > 0.06
    assert outcome.p < 1e-6
    assert outcome.powered
    assert "tpr_at_fpr_0.001" not in found, "1,000 nonmembers do not carry it"


def test_no_digit_is_printed_that_the_nonmembers_cannot_carry():
    rng = np.random.default_rng(0)
    outcome = of_membership(rng.normal(size=150), np.arange(150) < 75, LEVEL, rng)
    assert set(numbers(outcome)) == {"auc"}
    assert "75 members and 75 nonmembers cannot show" in outcome.settle


def attribute(for_members: float, for_others: float, n: int = 2000):
    """An attack right on these shares, beside an imputation right on half."""
    rng = np.random.default_rng(1)
    member, secret = np.arange(n) % 2 == 0, rng.integers(0, 2, n)
    right = rng.random(n) < np.where(member, for_members, for_others)
    belief = np.eye(2)[np.where(right, secret, 1 - secret)]
    imputed = np.eye(2)[rng.integers(0, 2, n)]
    return of_attribute(belief, imputed, secret, member, LEVEL, POLICY, rng)


def test_beating_imputation_equally_on_both_is_no_training_leak():
    assert attribute(0.8, 0.8)[0].p > 0.01
    outcome, rows = attribute(0.8, 0.5)
    assert outcome.p < 0.001
    assert numbers(outcome)["gain"].low > 0
    assert set(rows) == {"members", "nonmembers", "imputation"}
    assert rows["members"][0].value > rows["nonmembers"][0].value


def test_records_are_compared_within_their_class():
    rng = np.random.default_rng(2)
    label, member = np.repeat(np.arange(20), 10), np.tile(np.arange(10) < 7, 20)
    by_class = rng.normal(size=20)[label] * 5
    assert of_records(by_class + rng.normal(size=200), label, member, LEVEL, POLICY, rng).p > 0.001
    assert of_records(by_class + member + rng.normal(size=200), label, member, LEVEL, POLICY, rng).p < 0.01


def test_recognition_has_the_control_and_the_other_rows_beside_it():
    rng = np.random.default_rng(3)
    own, nothing = np.eye(12) + 0.1 * rng.normal(size=(12, 12)), rng.normal(size=(12, 12))
    outcome = of_recognition(own, nothing, [("prior", nothing)], LEVEL, POLICY, rng)
    found = numbers(outcome)
    assert found["rank1"].value == 1.0
    assert found["rank1"].control < 0.5
    assert found["rank1_prior"].value < 0.5
    assert found["leak_z"].low > 0
    assert of_recognition(nothing, None, [], LEVEL, POLICY, rng).p > 0.001


def test_a_class_that_never_comes_first_but_ranks_high_is_seen():
    rng = np.random.default_rng(4)
    blurred = rng.random((20, 20))
    for row in blurred:
        row[row.argmax()] = 1.0
    place = np.arange(20)
    blurred[place, place] = 0.9
    blurred[place, (place + 1) % 20] = 1.0
    outcome = of_recognition(blurred, None, [], LEVEL, POLICY, rng)
    found = numbers(outcome)
    assert found["rank1"].value == 0.0
    assert found["auc"].low > 0.5
    assert outcome.p < 0.01


def test_both_tests_of_recognition_together_keep_their_level():
    rng = np.random.default_rng(5)
    ps = [of_recognition(rng.normal(size=(10, 10)), None, [], 0.05, POLICY, rng).p for _ in range(200)]
    assert np.mean(np.array(ps) <= 0.1) < 0.16  # binomial, 200 of .1: above .16 in 5 of 1,000


def test_reasons_follow_the_numbers():
    strong, weak = (
        of_coins(Guesses(80, 80, 78, 2), 20, LEVEL, POLICY),
        of_coins(Guesses(80, 80, 44, 2), 20, LEVEL, POLICY),
    )
    assert reason(strong, Status.LEAK, POLICY) == "right on 78 of 80 secrets, where luck gives 40."
    assert reason(weak, Status.NONE, POLICY) == (
        "right on 44 of 80 secrets, where luck gives 40; an attack right on 75% of the secrets would have been seen."
    )
