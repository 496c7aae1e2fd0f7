"""Does an audit refute a promise of differential privacy? The promise's own curve decides, never a bound on mu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from safelight.controls.gradient_canaries import guesses_of
from safelight.errors import InputError
from safelight.evidence import Evidence, Role, Scores
from safelight.measures.base import Measurement
from safelight.measures.dp_sgd import epsilon_of_training
from safelight.measures.one_run import largest_rejected, steinke_p
from safelight.measures.roc import tpr_at_fpr
from safelight.measures.trade_off import Curve, DpSgd, curve_rejected, epsilon_delta_curve, group_of
from safelight.verdict.finding import Finding, Status

UNITS = ("record", "person")
ADJACENCIES = ("add-remove", "replace")


class Answer(StrEnum):
    """How a promise stands after an audit. Never "true": an audit can only refute."""

    REFUTED = "refuted"
    STANDS = "not refuted"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class DpClaim:
    """A promise, as its owner states it.

    Attributes:
        epsilon: in nats, at least 0.
        delta: in [0, 1).
        unit: "record" or "person": what may change between neighbouring data sets.
        adjacency: "add-remove" (one more or less) or "replace" (one is another).
        mechanism: how the model was trained, where that is known; its own curve then decides.
        per_person: records that a person owns at most, for coins that decide about people.
    """

    epsilon: float
    delta: float
    unit: str = "record"
    adjacency: str = "add-remove"
    mechanism: DpSgd | None = None
    per_person: int | None = None

    def __post_init__(self) -> None:
        epsilon_delta_curve(self.epsilon, self.delta)
        for name, value, known in (("unit", self.unit, UNITS), ("adjacency", self.adjacency, ADJACENCIES)):
            if value not in known:
                raise InputError(f"{name} is {value!r}; use {' or '.join(known)}.")


@dataclass(frozen=True)
class Tested:
    """One finding tested against the promise.

    Attributes:
        code, unit, adjacency: of the finding.
        coins, guesses, right, candidates: its counts.
        epsilon, delta: the promise in the finding's own unit and adjacency.
        refuted: whether the counts refute it at the level of one test.
        bound: the largest epsilon (at the promise's delta, in the promise's own terms) that the counts refute; with a
            known mechanism among trainings that differ from it in their noise alone.
        reach: the same with every guess right: what could have been refuted.
        why_not: why it could not be tested, or "".
    """

    code: str
    unit: str
    adjacency: str
    coins: int = 0
    guesses: int = 0
    right: int = 0
    candidates: int = 2
    epsilon: float = 0.0
    delta: float = 0.0
    refuted: bool = False
    bound: float = 0.0
    reach: float = 0.0
    why_not: str = ""


@dataclass(frozen=True)
class DpAnswer:
    """The answer with every test behind it.

    Attributes:
        claim: the promise that was tested.
        answer: see `Answer`.
        tests: one a finding that rests on coins.
        level: of one test; all tests together have `alpha`.
        assumed: what the owner did not say and was taken for granted.
    """

    claim: DpClaim
    answer: Answer
    tests: tuple[Tested, ...]
    level: float
    assumed: tuple[str, ...]

    @property
    def reach(self) -> float:
        """The largest epsilon that could have been refuted: what every guess right would have shown."""
        return max((test.reach for test in self.tests if not test.why_not), default=0.0)

    @property
    def bound(self) -> float:
        """The largest epsilon that was refuted; 0 where none was."""
        return max((test.bound for test in self.tests if not test.why_not), default=0.0)


def check_claim(claim: DpClaim, findings: Sequence[Finding], alpha: float = 0.05) -> DpAnswer:
    """Test a promise on every finding that rests on coins; all tests together err with a chance of at most `alpha`.

    Args:
        claim: the promise.
        findings: of one audit.
        alpha: chance to refute a true promise.
    """
    on_coins = [item for item in findings if item.number("coins") is not None and item.status is not Status.NOT_RUN]
    possible = [item for item in on_coins if not _why_not(claim, item)]
    level = alpha / max(1, len(possible))
    tests = tuple(_tested(claim, item, level) for item in on_coins)
    assumed = [f"coins of {item.code} pool {item.runs} trainings" for item in possible if item.runs > 1]
    if claim.mechanism is None:
        assumed.append("no mechanism was named, so the (epsilon, delta) curve itself is tested")
    answer = Answer.STANDS if possible else Answer.UNKNOWN
    if any(test.refuted for test in tests):
        answer = Answer.REFUTED
    return DpAnswer(claim, answer, tests, level, tuple(assumed))


def finding_of_canaries(evidence: Evidence) -> Finding:
    """Return the counts of one audit by gradient canaries as a finding that `check_claim` takes.

    Raises:
        InputError: the evidence is of something else.
    """
    made, origin = guesses_of(evidence), evidence.origin
    measured = [
        Measurement("coins_correct", made.right, control=made.guesses / 2),
        Measurement("coins", made.coins),
        Measurement("guesses", made.guesses),
        Measurement("success", made.right / made.guesses, control=0.5),
    ]
    if evidence.unit == "record":
        assert isinstance(evidence.answer, Scores)
        scores, inside = evidence.answer.values[:, 0], np.asarray(evidence.secret) == 1
        rng = np.random.default_rng([origin.seed, 3])
        measured += [tpr_at_fpr(scores[inside], scores[~inside], fpr, rng).measurement for fpr in (0.01, 0.1)]
    return Finding(
        origin.attack, "Gradient canaries", origin.model, Status.UNCLEAR, "", "membership", "recipe", evidence.unit,
        evidence.adjacency, 1, origin.threat, tuple(measured), seed=origin.seed, evidence={Role.COINS: evidence.sha256},
    )  # fmt: skip


def _tested(claim: DpClaim, finding: Finding, level: float) -> Tested:
    why_not = _why_not(claim, finding)
    if why_not:
        return Tested(finding.code, finding.unit, finding.adjacency, why_not=why_not)
    coins, guesses, right = (int(_value(finding, name)) for name in ("coins", "guesses", "coins_correct"))
    chance = finding.number("success")
    candidates = round(1 / chance.control) if chance is not None and chance.control else 2
    size = _size(claim, finding)
    epsilon, delta = group_of(claim.epsilon, claim.delta, size)

    def broken(correct: int) -> Callable[[float], bool]:
        def at(promised: float) -> bool:
            scaled, slack = group_of(promised, claim.delta, size)
            return slack < 1 and _rejected(scaled, slack, coins, guesses, correct, candidates, level)

        return at

    def most_refuted(correct: int) -> float:
        if claim.mechanism is None or finding.adjacency != "add-remove" or size > 1 or candidates > 2:
            return largest_rejected(broken(correct))
        slack = max(claim.delta, 1e-12)  # no DP-SGD keeps a promise at delta 0
        return epsilon_of_training(claim.mechanism, coins, guesses, correct, slack, level, finding.unit == "step")

    own = _own_curve(claim, finding, size)
    if own is not None:
        refuted = curve_rejected(own, coins, guesses, right, candidates, level)
    else:
        refuted = delta < 1 and _rejected(epsilon, delta, coins, guesses, right, candidates, level)
    return Tested(finding.code, finding.unit, finding.adjacency, coins, guesses, right, candidates,
                  epsilon, delta, refuted, most_refuted(right), most_refuted(guesses))  # fmt: skip


def _rejected(
    epsilon: float, delta: float, coins: int, guesses: int, right: int, candidates: int, level: float
) -> bool:
    """Test (epsilon, delta)-DP: two candidates by Steinke's p, more by the recursion on the claim's own curve."""
    if candidates == 2:
        return steinke_p(coins, guesses, right, epsilon, delta) <= level
    return curve_rejected(epsilon_delta_curve(epsilon, delta), coins, guesses, right, candidates, level)


def _own_curve(claim: DpClaim, finding: Finding, size: int) -> Curve | None:
    """Return the mechanism's curve in the coins' adjacency; None without one, or where a coin moves several records."""
    replace = finding.adjacency == "replace"
    if claim.mechanism is None or size > (2 if replace else 1):
        return None
    return claim.mechanism.step_curve() if finding.unit == "step" else claim.mechanism.curve(replace)


def _size(claim: DpClaim, finding: Finding) -> int:
    """Return how many of the promise's own changes one coin makes: replacing is removing and adding."""
    steps = 2 if finding.adjacency == "replace" and claim.adjacency == "add-remove" else 1
    people = finding.unit in ("person", "class") and claim.unit == "record"
    return steps * ((claim.per_person or 1) if people else 1)


def _why_not(claim: DpClaim, finding: Finding) -> str:
    if finding.adjacency == "none":
        return f"its coins decide about the {finding.unit} as a whole, and the promise is about one {claim.unit}"
    if finding.adjacency == "add-remove" and claim.adjacency == "replace":
        return "its coins put records in or leave them out, and the promise is about replacing"
    if finding.unit == "step" and claim.mechanism is None:
        return "its coins decide about single steps; say how the model was trained (noise, sampling rate, steps)"
    if finding.unit in ("person", "class") and claim.unit == "record" and claim.per_person is None:
        return f"its coins decide about a whole {finding.unit}; say how many records one owns at most"
    return ""


def _value(finding: Finding, name: str) -> float:
    number = finding.number(name)
    assert number is not None
    assert number.value is not None
    return number.value
