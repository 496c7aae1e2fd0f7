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
    "beyond_rest": Term(
        "above the rest",
        Kind.NUMBER,
        "the same number of a group, less that of all other groups together: above 0 the group is more exposed.",
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
    "risk": Term(
        "risk of a release",
        Kind.RATE,
        "how often an attack succeeds on the records that a table was made from, beyond its luck with others: "
        "0 is no more often, 1 is always.",
    ),
    "linked": Term("linked pairs", Kind.RATE, "share of records of which two halves are joined through the table."),
    "singled_out_by_one": Term(
        "singled out by one value", Kind.RATE, "share of guessed values that exactly one record behind the table has."
    ),
    "singled_out_by_several": Term(
        "singled out by several values", Kind.RATE, "the same share of guesses of several values together."
    ),
    "blind": Term(
        "blind attempts", Kind.RATE, "the same share of attempts that look at no one record: what luck finds."
    ),
    "named": Term(
        "people linked with their row",
        Kind.RATE,
        "share of named people for whom the attack picks their own row out of the released table; the control is the "
        "same table with every column shuffled.",
    ),
    "named_by_equality": Term(
        "linked by equal values",
        Kind.RATE,
        "the share that picking at random among the rows with exactly a person's values finds.",
    ),
    "named_at_false_0.01": Term(
        "linked at 1% false links",
        Kind.RATE,
        "the share that is linked rightly, and more surely than all but 1 in 100 people who are not in the table.",
    ),
    "named_surest": Term(
        "right among the surest quarter",
        Kind.RATE,
        "share of right links among the quarter that the attack trusts most.",
    ),
    "fidelity": Term(
        "answers as the model",
        Kind.RATE,
        "share of records that a copy gives the same label as the model; the control is a copy made without asking.",
    ),
    "queries": Term("queries sent", Kind.COUNT, "how many records the attack sent to the model."),
    "same_scores": Term(
        "scores as the model",
        Kind.RATE,
        "share of records for which the copy's scores are within 1 in 100 of the model's; control as above.",
    ),
    "score_distance": Term(
        "distance of scores",
        Kind.NUMBER,
        "how far the scores of the copy are from the model's: 0 is equal, 1 is wholly different.",
    ),
    "median_error": Term(
        "error of rebuilt records",
        Kind.NUMBER,
        "how far the middle one of the rebuilt records is from the true one, in standard deviations of the columns.",
    ),
    "exact": Term(
        "rebuilt exactly",
        Kind.RATE,
        "share of rebuilt records that are within a thousandth of a standard deviation of the true one.",
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

RISKS = {True: "▲ risk", False: "○ no risk", None: "– not known"}
"""The same for what is counted in a model's file."""


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
    if name.startswith("tnr_at_fnr_"):
        rate = float(name.removeprefix("tnr_at_fnr_"))
        return Term(
            f"ruled out at {plain.percent(rate)} misses",
            Kind.RATE,
            f"share of other records that are ruled out while {plain.in_100(rate)} training records are, too.",
        )
    if name.startswith("fidelity_at_"):
        sent = plain.count(int(name.removeprefix("fidelity_at_")))
        label = f"answers as the model after {sent} queries"
        return Term(label, Kind.RATE, "the same share, of a copy that took fewer queries.")
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
