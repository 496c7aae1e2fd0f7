"""Does an audit refute a promise of differential privacy? The promise's own curve decides, never a bound on mu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from safelight.errors import InputError
from safelight.measures.one_run import largest_rejected, steinke_p
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
        reach: the largest epsilon (at the promise's delta, in the promise's own terms) that could have been refuted.
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
    reach: float = 0.0
    why_not: str = ""


@dataclass(frozen=True)
class DpAnswer:
    """The answer with every test behind it.

    Attributes:
        answer: see `Answer`.
        tests: one a finding that rests on coins.
        level: of one test; all tests together have `alpha`.
        assumed: what the owner did not say and was taken for granted.
    """

    answer: Answer
    tests: tuple[Tested, ...]
    level: float
    assumed: tuple[str, ...]

    @property
    def reach(self) -> float:
        return max((test.reach for test in self.tests if not test.why_not), default=0.0)


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
    return DpAnswer(answer, tests, level, tuple(assumed))


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

    own = _own_curve(claim, finding, size)
    if own is not None:
        refuted = curve_rejected(own, coins, guesses, right, candidates, level)
    else:
        refuted = delta < 1 and _rejected(epsilon, delta, coins, guesses, right, candidates, level)
    reach = largest_rejected(broken(guesses))
    return Tested(finding.code, finding.unit, finding.adjacency, coins, guesses, right, candidates,
                  epsilon, delta, refuted, reach)  # fmt: skip


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
    return claim.mechanism.curve(replace)


def _size(claim: DpClaim, finding: Finding) -> int:
    """Return how many of the promise's own changes one coin makes: replacing is removing and adding."""
    steps = 2 if finding.adjacency == "replace" and claim.adjacency == "add-remove" else 1
    people = finding.unit in ("person", "class") and claim.unit == "record"
    return steps * ((claim.per_person or 1) if people else 1)


def _why_not(claim: DpClaim, finding: Finding) -> str:
    if finding.adjacency == "add-remove" and claim.adjacency == "replace":
        return "its coins put records in or leave them out, and the promise is about replacing"
    if finding.unit in ("person", "class") and claim.unit == "record" and claim.per_person is None:
        return f"its coins decide about a whole {finding.unit}; say how many records one owns at most"
    return ""


def _value(finding: Finding, name: str) -> float:
    number = finding.number(name)
    assert number is not None
    assert number.value is not None
    return number.value
