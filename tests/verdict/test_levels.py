"""What decides: a table of cases, and 300 audits in which nothing can leak."""

import numpy as np
import pytest

from safelight.controls.coins.base import guess
from safelight.errors import InputError
from safelight.verdict.finding import Status, Verdict
from safelight.verdict.levels import Policy, decide, holm, rungs_hold, verdict_of
from safelight.verdict.outcome import of_attribute, of_coins, of_membership, of_recognition, of_records


def test_holm_is_the_literal_step_down_procedure():
    ps = [0.01, 0.04, 0.03, 0.005]
    np.testing.assert_allclose(holm(ps), [0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("adjusted", "bound", "powered", "tolerate", "status"),
    [
        (0.01, 0.0, True, 0.0, Status.LEAK),
        (0.01, 0.0, False, 0.0, Status.LEAK),
        (0.011, 2.0, True, 0.0, Status.NONE),
        (0.011, 2.0, False, 0.0, Status.UNCLEAR),
        (0.001, 0.4, True, 0.5, Status.NONE),
        (0.001, 0.6, True, 0.5, Status.LEAK),
        (0.001, 0.4, False, 0.5, Status.UNCLEAR),
    ],
)
def test_one_claim(adjusted, bound, powered, tolerate, status):
    assert decide(adjusted, bound, powered, Policy(tolerate=tolerate)) is status


@pytest.mark.parametrize(
    ("statuses", "broken", "incomplete", "verdict"),
    [
        ([Status.LEAK], True, True, Verdict.BROKEN),
        ([Status.LEAK, Status.NONE], False, True, Verdict.LEAK),
        ([Status.NONE], False, True, Verdict.INCOMPLETE),
        ([Status.NONE, Status.UNCLEAR], False, False, Verdict.UNCLEAR),
        ([Status.NONE, Status.NOT_RUN], False, False, Verdict.NONE),
        ([Status.NOT_RUN], False, False, Verdict.UNCLEAR),
        ([], False, False, Verdict.UNCLEAR),
    ],
)
def test_the_first_verdict_that_holds(statuses, broken, incomplete, verdict):
    assert verdict_of(statuses, broken, incomplete) is verdict


def test_a_rung_fails_only_far_above_chance():
    assert rungs_hold([0.5, 0.002, 1.0]) == [True, True, True]
    assert rungs_hold([0.5, 0.0003, 1.0]) == [True, False, True]
    assert rungs_hold([0.0004] * 3) == [True, True, True], "three rungs share the level"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fail_on": "maybe"}, "fail_on is 'maybe'"),
        ({"alpha": 0.7}, "alpha is 0.7"),
        ({"tolerate": -1}, "tolerate is -1"),
        ({"look_for": 0.5}, "look_for is 0.5"),
    ],
)
def test_impossible_policies_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Policy(**changes)


def null_audit(seed: int, policy: Policy, claims: int = 6) -> bool:
    """Return whether an audit of a model that never saw anything cries leak: all kinds of claims, no signal."""
    rng = np.random.default_rng(seed)
    level = policy.level(claims)
    pooled = guess(rng.normal(size=(80, 2)), rng.integers(0, 2, 80), 1.0, rng)
    third = guess(rng.normal(size=(300, 2)), rng.integers(0, 2, 300), 1 / 3, rng)
    member = rng.permutation(300) < 150
    belief, imputed = rng.random((300, 2)), rng.random((300, 2))
    label = np.arange(300) % 20
    outcomes = [
        of_coins(pooled, 20, level, policy),
        of_coins(third, 100, level, policy),
        of_membership(rng.normal(size=300).round(1), member, level, rng),
        of_attribute(belief, imputed, rng.integers(0, 2, 300), member, level, policy, rng)[0],
        of_records(rng.normal(size=300), label, member, level, policy, rng),
        of_recognition(rng.normal(size=(20, 20)), None, [], level, policy, rng),
    ]
    adjusted = holm([outcome.p for outcome in outcomes])
    return any(decide(p, o.bound, o.powered, policy) is Status.LEAK for p, o in zip(adjusted, outcomes))


def test_three_hundred_null_audits_raise_at_most_three_in_a_hundred_false_alarms():
    alarms = sum(null_audit(seed, Policy()) for seed in range(300))
    print(f"false alarms: {alarms} of 300 null audits, six claims each, family level 1 %")
    assert alarms <= 9
