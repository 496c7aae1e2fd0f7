"""What stands under a chart, a table or a picture: computed from the same data that is drawn."""

from __future__ import annotations

from collections.abc import Mapping

from safelight.measures.base import Measurement
from safelight.report import numbers, plain, words
from safelight.report.model import Curve, Pictures, Report, Roc
from safelight.threat import Access
from safelight.verdict.finding import Finding, Status
from safelight.verdict.levels import LOOK_FOR_FPR


def coins(report: Report) -> str:
    """Say what the dot plot of coin guesses shows."""
    drawn = [finding for finding in report.findings if (made := numbers.coins_of(finding)) and made.chance is not None]
    beyond = [finding.code for finding in drawn if finding.status is Status.LEAK]
    text = "Each mark is the share of hidden secrets that one attack guessed right; the grey band is what luck gives."
    if not beyond:
        return f"{text} No mark counts as a leak."
    return f"{text} Counted as a leak: {', '.join(dict.fromkeys(beyond))}."


def roc(roc: Roc) -> str:
    """Say how many training records are found at 1 in 100 false alarms, or at the fewest that the data can carry."""
    at = max(LOOK_FOR_FPR, roc.floor)
    reachable = [(fpr, tpr) for fpr, tpr in zip(roc.fpr, roc.tpr, strict=True) if roc.floor <= fpr <= at + 1e-9]
    grey = (
        f"Grey: with {plain.several(roc.nonmembers, 'other record')}, "
        f"fewer than {plain.in_100(roc.floor)} false alarms cannot be measured."
    )
    if not reachable:
        return grey
    fpr, tpr = reachable[-1]
    found = f"{roc.code} recognises {plain.in_100(tpr)} training records"
    return f"While {plain.in_100(fpr)} others are wrongly accused, {found}. {grey}"


def curve(curve: Curve, finding: Finding | None) -> str:
    """Say after how many queries luck is beaten, and where the budget stands."""
    enough = words.enough_queries(curve)
    if enough is None:
        text = f"{curve.code} does not beat luck with any number of queries tried."
    else:
        text = f"{curve.code} beats luck from {plain.several(enough, 'query', 'queries')} a secret on."
    budget = numbers.per_secret(finding, curve.coins) if finding is not None else None
    if budget is None:
        return text
    return f"{text} The dotted line is the budget: {plain.count(budget)} a secret."


def pictures(pictures: Pictures, shown: int) -> str:
    """Say what the rows of pictures hold, how many are shown, and how many were recognised."""
    total = len(pictures.names)
    recognised = int(sum(bool(item) for item in pictures.recognised))
    counted = f"{recognised} of {plain.several(total, 'rebuilt picture')}"
    text = f"A matching program that is not this model recognises {counted}; a person may see less."
    if pictures.control is not None:
        text += " The control is the same attack on a model that never saw the class: what it shows too is no leak."
    else:
        text += " There is no control picture, so a likeness alone proves nothing."
    if pictures.nearest is None:
        text += " Training records are not shown: their owner has not allowed it."
    if shown < total:
        text += f" Shown: the first {shown} of {total}, in the order of the classes."
    return text


def rows(rows: Mapping[str, tuple[Measurement, ...]]) -> str:
    """Say what the rows tell: a training leak, a pattern of the whole population, or neither."""
    members, others, imputed = (_balance(rows.get(name, ())) for name in ("members", "nonmembers", "imputation"))
    if members is None or others is None or imputed is None:
        return ""
    if _above(members, others):
        return "The attack does better on training records than on others: the model gives away what it was trained on."
    if _above(members, imputed) and _above(others, imputed):
        return (
            "The attack beats guessing without the model, but not measurably more on training records than on others: "
            "what it uses is a pattern of the whole population, which is not a leak of the training data."
        )
    if _below(members, imputed):
        return "Guessing without the model does better than the attack: here the model gives the attacker nothing."
    return "The rows cannot be told apart: their intervals overlap."


def at_risk(report: Report) -> str:
    """Say what the ranking of records or people at risk is, and what it is not."""
    if not report.at_risk:
        return ""
    worst = report.at_risk[0]
    others = "nobody else scores" if worst.share == 0 else f"{plain.in_100(worst.share)} others score"
    text = (
        f"{worst.code} points most strongly at {worst.id}: {others} as high, and luck alone puts any one so high in "
        f"{plain.luck(worst.p)} cases."
    )
    if worst.chance is not None:
        text += (
            f" To somebody who thought one half likely, it was in the training data with {plain.in_100(worst.chance)}."
        )
    copied = sum(item.copies > 0 for item in report.at_risk)
    if copied:
        text += f" {plain.several(copied, 'of them has', 'of them have')} copies among the training records."
    return f"{text} This is a ranking, not a proof about any one of them."


def structure(report: Report) -> str:
    """Say what counts of the model's file are worth, and who can make them."""
    risks = sum(item.risk is True for item in report.structure)
    holds = "holds it" if report.threat.access is Access.WEIGHTS else "does not hold it"
    return (
        f"{plain.several(risks, 'risk')} in {plain.several(len(report.structure), 'count')}. These are facts about the "
        "file, not tests: they change no finding and no verdict. The tests above say whether it can be used. Whoever "
        f"holds the file can read them off; the attacker assumed in this audit {holds}."
    )


def _balance(measured: tuple[Measurement, ...]) -> Measurement | None:
    """Return the measure to compare rows by: the AUC, else the G-mean, else the MCC."""
    for name in ("auc", "g_mean", "mcc"):
        found = next((item for item in measured if item.name == name and item.value is not None), None)
        if found is not None:
            return found
    return None


def _above(one: Measurement, other: Measurement) -> bool:
    """Whether one number stands above another beyond both intervals; without an interval nothing is said."""
    if one.name != other.name or one.low is None:
        return False
    return one.low > (other.high if other.high is not None else other.value or 0.0)


def _below(one: Measurement, other: Measurement) -> bool:
    return _above(other, one)
