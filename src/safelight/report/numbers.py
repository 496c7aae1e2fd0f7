"""What is read from a finding's numbers: its coin guesses, and the one number that carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safelight.measures.base import Measurement
from safelight.report import plain
from safelight.report.model import Curve
from safelight.threat import Access
from safelight.verdict.finding import Finding

NOUN = {"record": "record", "person": "person", "class": "class", "attribute": "record", "canary": "canary",
        "set": "set of records", "data set": "data set"}  # fmt: skip
NOUNS = {"record": "records", "person": "people", "class": "classes", "attribute": "records", "canary": "canaries",
         "set": "sets of records", "data set": "data sets"}  # fmt: skip


@dataclass(frozen=True)
class Coins:
    """The coin guesses of a finding.

    Attributes:
        right, guesses: right guesses, of all guesses.
        secrets: how many secrets were hidden, or None when the finding tells only how many were guessed.
        chance: share that luck alone gets right, in (0, 1), or None when the finding does not say.
        low, high: interval of the hit rate, or None.
    """

    right: int
    guesses: int
    secrets: int | None
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
    """Return the coin guesses that a finding rests on, or None.

    Where the finding has `guesses`, `coins` are the hidden secrets; else `coins` are the guesses.
    """
    right, coins, guesses = (value(finding, name) for name in ("coins_correct", "coins", "guesses"))
    made = coins if guesses is None else guesses
    if right is None or not made:
        return None
    secrets = None if guesses is None or coins is None else int(coins)
    success = finding.number("success")
    if success is None:
        return Coins(int(right), int(made), secrets, None, None, None)
    return Coins(int(right), int(made), secrets, success.control, success.low, success.high)


def per_secret(finding: Finding, secrets: int | None = None) -> float | None:
    """Return how many queries of one attack's budget fall on one secret.

    None without a limit, without coins, or when neither the finding nor the caller knows how many secrets there were.
    """
    coins = coins_of(finding)
    if coins is None or finding.threat.queries is None or finding.threat.access is Access.WEIGHTS:
        return None
    hidden = coins.secrets or secrets
    return None if hidden is None else finding.threat.queries * max(finding.runs, 1) / hidden


def finding_of(findings: Sequence[Finding], curve: Curve) -> Finding | None:
    """Return the finding that a curve belongs to: of the same attack, number of candidates and last right guesses."""
    found = [
        (abs(coins.right - curve.right[-1]) + abs(coins.guesses - curve.coins), place, finding)
        for place, finding in enumerate(findings)
        if finding.code == curve.code
        and (coins := coins_of(finding)) is not None
        and (coins.chance is None or abs(coins.chance - 1 / curve.k) < 1e-9)
    ]
    return min(found, key=lambda item: item[:2])[2] if found else None


def at_false_alarms(finding: Finding) -> tuple[float, Measurement] | None:
    """Return (false-alarm rate, measurement) of the operating point to speak of: the rarest that has a digit."""
    points = [
        (float(item.name.removeprefix("tpr_at_fpr_")), item)
        for item in finding.measured
        if item.name.startswith("tpr_at_fpr_")
    ]
    measured = [point for point in points if point[1].value is not None]
    return min(measured or points, key=lambda point: point[0]) if points else None


def tail_of(finding: Finding) -> Measurement | None:
    """Return the share of nonmembers that are ruled out, where that was measured."""
    return next((item for item in finding.measured if item.name.startswith("tnr_at_fnr_")), None)


def carrying(finding: Finding) -> Measurement | None:
    """Return the measurement that carries a finding.

    The hit rate of coins; else members recognised at few false alarms, where that is more than the false alarms, or
    nonmembers ruled out; else recognised pictures, where they are more than the control's; else the gain over
    imputation, the risk of a release, the fidelity of a copy, or the AUC.
    """
    tpr, first, pairs = at_false_alarms(finding), finding.number("rank1"), finding.number("auc")
    point = tpr[1] if tpr is not None and _beats(tpr[1]) else tail_of(finding)
    pictures = first if first is not None and (pairs is None or _beats(first)) else None
    found = [finding.number("success"), point, pictures]
    found += [finding.number(name) for name in ("gain", "named", "risk", "fidelity")] + [pairs]
    return next((item for item in found if item is not None and item.value is not None), None)


def headline_number(finding: Finding) -> tuple[str, str]:
    """Return the one number that carries a finding and the words beside it; ("", "") when there is none."""
    coins, carrier = coins_of(finding), carrying(finding)
    if coins is not None:
        luck = f"; {coins.by_luck}" if coins.by_luck else ""
        return f"{plain.count(coins.right)} of {plain.count(coins.guesses)}", f"secrets guessed right{luck}"
    if carrier is None or carrier.value is None:
        return "", ""
    if carrier.name == "gain":
        return f"{100 * carrier.value:+.0f} in 100", "secrets told from training records more than from others"
    return plain.in_100(carrier.value), _beside(finding, carrier)


def _beside(finding: Finding, carrier: Measurement) -> str:
    if carrier.name == "success":
        return "secrets guessed right"
    if carrier.name == "named":
        return "people linked with their own row"
    if carrier.name == "fidelity":
        rest = "" if carrier.control is None else f"; {plain.in_100(carrier.control)} without asking"
        return f"records answered by a copy as by the model{rest}"
    if carrier.name == "risk":
        return "attempts succeeded on the table's own records, beyond luck with others"
    if carrier.name == "rank1":
        rest = "" if carrier.control is None else f"; {plain.in_100(carrier.control)} {control_of_pictures(finding)}"
        return f"rebuilt pictures recognised by a matcher{rest}"
    if carrier.name == "auc":
        pairs = "ranked right" if finding.claim == "attribute" else "of a training record and another told apart"
        if finding.number("rank1") is not None:
            pairs = f"of its own {NOUN[finding.unit]} and another told apart by a rebuilt picture"
        return f"pairs {pairs}; luck gives 50"
    alarms = plain.in_100(float(carrier.name.rpartition("_")[2]))
    if carrier is tail_of(finding):
        return f"other {NOUNS[finding.unit]} ruled out, while {alarms} training {NOUNS[finding.unit]} are, too"
    return f"training {NOUNS[finding.unit]} recognised, while {alarms} others are wrongly accused"


def control_of_pictures(finding: Finding) -> str:
    """Say what the control of `rank1` is: a model that never saw the classes, or luck where there was none."""
    return "by luck" if finding.number("leak_z") is None else "from a model that never saw them"


def _beats(point: Measurement) -> bool:
    return point.low is None or point.control is None or point.low > point.control
