"""A promise of differential privacy beside what the audit saw, in words for people who do not know the theory."""

from __future__ import annotations

import math

from safelight.report import plain
from safelight.report.model import Report
from safelight.threat import Observes
from safelight.verdict.dp_claim import Answer, DpAnswer, Tested
from safelight.verdict.finding import Verdict

TITLE = "The promise of differential privacy"


def sentence(report: Report) -> str:
    """Say in one sentence how the promise stands: what is claimed at most, what was seen at least, what could be seen.

    "" where the owner states no promise.
    """
    answer = report.promise
    if answer is None:
        return ""
    claimed = f"epsilon {answer.claim.epsilon:g}"
    if report.verdict is Verdict.BROKEN:
        return f"The audit is broken, so it says nothing about the promise of {claimed}."
    if answer.answer is Answer.UNKNOWN:
        return f"This audit cannot tell whether the promise of {claimed} holds: {_why_not(answer)}."
    allows = f"it allows a leak of {claimed} about one {answer.claim.unit} at the most"
    shown = f"the guesses show at least {plain.number(answer.bound)}" if answer.bound > 0 else "the guesses show none"
    reach = plain.number(answer.reach)
    if answer.answer is Answer.REFUTED:
        return f"The promise is broken: {allows}, and {shown}, of the {reach} that this audit could have seen."
    if answer.reach <= answer.claim.epsilon:
        return (
            f"This audit is too small to put the promise to the test: {allows}, {shown}, and even with every guess "
            f"right no more than {reach} could have been seen."
        )
    return (
        f"The promise was put to the test and not refuted: {allows}, {shown}, and with every guess right {reach} could "
        "have been seen; that is no proof that it holds."
    )


def meaning(report: Report) -> str:
    """Say what the epsilon of the promise stands for; "" where there is none."""
    answer = report.promise
    if answer is None:
        return ""
    claim = answer.claim
    slack = f", but for a chance of 1 in {round(1 / claim.delta):,}" if claim.delta else ""
    seen = "released table" if report.threat.observes is Observes.RELEASE else "model"
    return (
        f"Epsilon {claim.epsilon:g} means: whoever sees the {seen} may grow surer that one {claim.unit} was behind it, "
        f"their odds up to {_times(claim.epsilon)} as high{slack}. Kept or broken, the promise changes no finding and "
        "no verdict of this audit."
    )


def tests(report: Report) -> list[str]:
    """Say of each finding on coins what it shows about the promise, one sentence each."""
    return [] if report.promise is None else [_of(test) for test in report.promise.tests]


def _of(test: Tested) -> str:
    if test.why_not:
        return f"{test.code} was not held against it: {test.why_not}."
    word = "refutes it" if test.refuted else "does not refute it"
    return (
        f"{test.code} guessed {plain.count(test.right)} of {plain.count(test.guesses)} right and {word}: at least "
        f"{plain.number(test.bound)}, and {plain.number(test.reach)} with every guess right."
    )


def _why_not(answer: DpAnswer) -> str:
    reasons = [f"{test.code} bears on something else ({test.why_not})" for test in answer.tests if test.why_not]
    return reasons[0] if reasons else "no finding of it rests on coins"


def _times(epsilon: float) -> str:
    """Say e^epsilon as a factor."""
    if epsilon > math.log(1e6):
        return "more than a million times"
    return f"{plain.number(math.exp(epsilon))} times"
