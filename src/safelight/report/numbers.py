"""What is read from a finding's numbers: its coin guesses, and the one number that carries it."""

from __future__ import annotations

from dataclasses import dataclass

from safelight.measures.base import Measurement
from safelight.report import plain
from safelight.threat import Access
from safelight.verdict.finding import Finding

NOUN = {"record": "record", "person": "person", "class": "class", "attribute": "record"}
NOUNS = {"record": "records", "person": "people", "class": "classes", "attribute": "records"}


@dataclass(frozen=True)
class Coins:
    """The coin guesses of a finding.

    Attributes:
        right, guesses, secrets: right guesses, of all guesses, on so many hidden secrets.
        chance: share that luck alone gets right, in (0, 1), or None when the finding does not say.
        low, high: interval of the hit rate, or None.
    """

    right: int
    guesses: int
    secrets: int
    chance: float | None
    low: float | None
    high: float | None

    @property
    def rate(self) -> float:
        return self.right / self.guesses

    @property
    def by_luck(self) -> str:
        """Say how many right guesses luck gives; "" when it is not known."""
        return "" if self.chance is None else f"luck alone gives about {plain.count(round(self.chance * self.guesses))}"


def value(finding: Finding, name: str) -> float | None:
    """Return the value of a measurement, or None."""
    measurement = finding.number(name)
    return None if measurement is None else measurement.value


def coins_of(finding: Finding) -> Coins | None:
    """Return the coin guesses that a finding rests on, or None."""
    right, secrets = value(finding, "coins_correct"), value(finding, "coins")
    guesses = value(finding, "guesses") or secrets
    if right is None or secrets is None or not guesses:
        return None
    success = finding.number("success")
    if success is None:
        return Coins(int(right), int(guesses), int(secrets), None, None, None)
    return Coins(int(right), int(guesses), int(secrets), success.control, success.low, success.high)


def per_secret(finding: Finding) -> float | None:
    """Return how many queries of one attack's budget fall on one secret, or None without a limit or coins."""
    coins = coins_of(finding)
    if coins is None or finding.threat.queries is None or finding.threat.access is Access.WEIGHTS:
        return None
    return finding.threat.queries * max(finding.runs, 1) / coins.secrets


def at_false_alarms(finding: Finding) -> tuple[float, Measurement] | None:
    """Return (false-alarm rate, measurement) of the operating point to speak of: the rarest that has a digit."""
    points = [
        (float(item.name.removeprefix("tpr_at_fpr_")), item)
        for item in finding.measured
        if item.name.startswith("tpr_at_fpr_")
    ]
    measured = [point for point in points if point[1].value is not None]
    return min(measured or points, key=lambda point: point[0]) if points else None


def carrying(finding: Finding) -> Measurement | None:
    """Return the measurement that carries a finding: hit rate, recognised members, recognised pictures, or AUC."""
    tpr = at_false_alarms(finding)
    found = [finding.number("success"), tpr[1] if tpr else None, finding.number("rank1"), finding.number("auc")]
    return next((item for item in found if item is not None and item.value is not None), None)


def headline_number(finding: Finding) -> tuple[str, str]:
    """Return the one number that carries a finding and the words beside it; ("", "") when there is none."""
    coins = coins_of(finding)
    if coins is not None:
        luck = f"; {coins.by_luck}" if coins.by_luck else ""
        return f"{plain.count(coins.right)} of {plain.count(coins.guesses)}", f"secrets guessed right{luck}"
    carrier = carrying(finding)
    if carrier is None:
        return "", ""
    if carrier.name == "success":
        return plain.in_100(carrier.value), "secrets guessed right"
    if carrier.name == "rank1":
        control = (
            "" if carrier.control is None else f"; from models that never saw them: {plain.in_100(carrier.control)}"
        )
        return plain.in_100(carrier.value), f"rebuilt pictures recognised by a matcher{control}"
    if carrier.name == "auc":
        told = (
            "pairs ranked right"
            if finding.claim == "attribute"
            else "pairs of a training record and another told apart"
        )
        return plain.in_100(carrier.value), f"{told}; luck gives 50"
    alarms = plain.in_100(float(carrier.name.removeprefix("tpr_at_fpr_")))
    return plain.in_100(
        carrier.value
    ), f"training {NOUNS[finding.unit]} recognised, while {alarms} others are wrongly accused"
