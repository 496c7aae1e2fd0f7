"""One vocabulary: every word and every measure that a report uses, with what it means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from safelight.measures.base import Measurement
from safelight.report import plain
from safelight.verdict.finding import Status, Verdict


class Kind(Enum):
    """How a measured value is written."""

    RATE = "rate"
    COUNT = "count"
    NUMBER = "number"


@dataclass(frozen=True)
class Term:
    """A measure: its name for people, how it is written, what it means."""

    label: str
    kind: Kind
    meaning: str


_MEASURES = {
    "coins": Term("hidden secrets", Kind.COUNT, "how many secrets were drawn by a coin and hidden from the attack."),
    "coins_correct": Term("right guesses", Kind.COUNT, "how many of its guesses were right."),
    "guesses": Term("guesses", Kind.COUNT, "how many secrets the attack chose to guess; it may pass on the others."),
    "success": Term(
        "hit rate", Kind.RATE, "right guesses divided by all guesses; its control is what luck alone gives."
    ),
    "success_detectable": Term(
        "smallest hit rate that would be seen",
        Kind.RATE,
        "an attack with this hit rate would have been noticed in at least 8 of 10 audits of this size.",
    ),
    "mu": Term(
        "mu, at least",
        Kind.NUMBER,
        "the size of a leak in Gaussian differential privacy: 0 is none, 1 is noticeable, 3 is large. "
        "A lower bound: the true leak may be larger.",
    ),
    "mu_ceiling": Term(
        "largest mu that could show", Kind.NUMBER, "the bound that this audit would give with every guess right."
    ),
    "epsilon": Term(
        "epsilon, at least",
        Kind.NUMBER,
        "the same leak in the unit of differential privacy; a promise of a smaller epsilon would be broken.",
    ),
    "auc": Term(
        "AUC",
        Kind.NUMBER,
        "how often the attack ranks the right one of a pair higher: 0.5 is luck, 1 is always.",
    ),
    "rank1": Term(
        "recognised pictures",
        Kind.RATE,
        "share of rebuilt pictures for which a matcher that is not the audited model names the true one first.",
    ),
    "rank1_prior": Term(
        "recognised, public prior", Kind.RATE, "the same share for pictures drawn from public data only."
    ),
    "rank1_start": Term(
        "recognised, start picture", Kind.RATE, "the same share for the picture that the attack began with."
    ),
    "leak_z": Term(
        "difference to control",
        Kind.NUMBER,
        "how far the attack does better than on models without that record or person, in standard steps.",
    ),
    "gain": Term(
        "gain on members",
        Kind.RATE,
        "how many more secrets the attack tells of training records than of others, beyond guessing without the model.",
    ),
    "g_mean": Term(
        "G-mean", Kind.NUMBER, "hit rate balanced over all values: 1 is perfect, 0 means one value is never found."
    ),
    "mcc": Term("MCC", Kind.NUMBER, "agreement of guess and truth: 0 is luck, 1 is perfect."),
    "accuracy": Term("accuracy", Kind.RATE, "share of right answers."),
}

_WORDS = {
    "coin": "a random choice made before training, such as which of two people is used. The attack has to guess it.",
    "control": "the same attack where nothing can leak, such as on a model that never saw the record.",
    "floor": "the smallest value that data of this size could have told from none.",
    "member, nonmember": "a record that the model was trained on, and one of the same kind that it never saw.",
    "query": "one record sent to the model.",
    "recipe": "how the model is trained; with it, models can be trained again with known secrets.",
    "interval": "the range in which the true value very likely lies, given as [low, high].",
    "p": "how often luck alone would give a result at least as strong if nothing leaked.",
    "never-saw model": "a model of the same kind that was trained without the records in question.",
}

STATUS_MEANING = {
    Status.LEAK: "the attack did better than luck and the controls, by more than the owner tolerates.",
    Status.UNCLEAR: "the numbers neither show a leak nor rule one out.",
    Status.NONE: "this attack found nothing, and it would have noticed a leak of the size looked for.",
    Status.NOT_RUN: "the attack could not be run; nothing is known about this claim.",
}

SHAPES = {
    Status.LEAK: "▲",
    Status.UNCLEAR: "◆",
    Status.NONE: "○",
    Status.NOT_RUN: "–",
    Verdict.BROKEN: "✕",
    Verdict.LEAK: "▲",
    Verdict.INCOMPLETE: "◐",
    Verdict.UNCLEAR: "◆",
    Verdict.NONE: "○",
}
"""A shape for each ending, so that colour never speaks alone."""


def term(name: str) -> Term:
    """Return the term of a measure; a name that is not in the vocabulary explains itself as well as it can."""
    if name in _MEASURES:
        return _MEASURES[name]
    if name.startswith("tpr_at_fpr_"):
        rate = float(name.removeprefix("tpr_at_fpr_"))
        return Term(
            f"found at {plain.percent(rate)} false alarms",
            Kind.RATE,
            f"share of training records recognised while {plain.in_100(rate)} others are wrongly accused.",
        )
    return Term(name.replace("_", " "), Kind.NUMBER, "")


def written(name: str, value: float | None) -> str:
    """Write one value of a measure the way that its kind asks for."""
    if value is None:
        return plain.UNKNOWN
    kind = term(name).kind
    if kind is Kind.RATE:
        return plain.percent(value)
    return plain.count(value) if kind is Kind.COUNT else plain.number(value)


def interval(measurement: Measurement) -> str:
    """Write a measurement's interval as "[low, high]"; an open end is "…"; "" when it has none."""
    if measurement.low is None and measurement.high is None:
        return ""
    ends = [
        "…" if end is None else written(measurement.name, end).removesuffix("%")
        for end in (measurement.low, measurement.high)
    ]
    return f"[{ends[0]}, {ends[1]}]" + ("%" if term(measurement.name).kind is Kind.RATE else "")


def glossary(measures: Iterable[str]) -> dict[str, str]:
    """Return the words to explain in a report that prints these measures, in alphabetical order."""
    words = dict(_WORDS)
    for name in measures:
        if term(name).meaning:
            words[term(name).label] = term(name).meaning
    return dict(sorted(words.items(), key=lambda item: item[0].lower()))
