"""What one finding says, in words: computed from its status, its claim and its numbers, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safelight.report import plain
from safelight.report.numbers import (
    NOUN,
    NOUNS,
    at_false_alarms,
    carrying,
    coins_of,
    control_of_pictures,
    tail_of,
    value,
)
from safelight.threat import Access, Knows, Observes, ThreatModel
from safelight.verdict.finding import Finding, Status
from safelight.verdict.levels import LOOK_FOR_FPR, LOOK_FOR_TPR

_GIVES_AWAY = {
    "record": "which single records were in its training data",
    "person": "which people were in its training data",
    "class": "what its classes look like",
    "attribute": "secret values in the records it was trained on",
    "property": "a fact about its training data as a whole",
    "link": "how to point at single people, or to join what two sources hold of them",
    "extraction": "pieces of its training data, word for word",
    "model": "how it works inside, so that it can be copied",
    "prior": "more than public data shows",
}

_BOUNDARY = {
    "record": "This is about single records; it does not say that everything about a person can be found.",
    "person": "This is about the person, not about one certain record of theirs.",
    "class": "A class is not a person: this says nothing about any one person in it.",
    "attribute": "This is about secret values in single records; no picture or whole record was rebuilt.",
    "property": "This is about the data as a whole, not about any one person.",
    "model": "A copy is not the training data, but attacks on the inside of a model can be tried on it at home.",
}


def subject(finding: Finding) -> str:
    """Say whom the finding is about: the model (or released table) that was given, or any that is made the same way."""
    if finding.threat.observes is Observes.RELEASE:
        return "this released table" if finding.about == "model" else "a table released this way"
    return "this model" if finding.about == "model" else "a model trained this way"


def what(finding: Finding) -> str:
    """Say what is given away, or looked for."""
    text = _given_away(finding)
    if finding.threat.observes is not Observes.RELEASE:
        return text
    return text.replace("training data", "source").replace("trained on", "made from")


def _given_away(finding: Finding) -> str:
    if finding.claim == "membership":
        return f"whether a {NOUN[finding.unit]} was in its training data"
    if finding.claim == "person" and finding.number("rank1") is not None and coins_of(finding) is None:
        return "what people in its training data look like"
    return _GIVES_AWAY.get(finding.claim, f"something about its training data ({finding.claim})")


def opening(finding: Finding) -> str:
    """Say in one sentence how the claim ended; a class, a person, a record and the public prior are told apart."""
    who = subject(finding)
    if finding.status is Status.NOT_RUN:
        return f"Not tested whether {who} gives away {what(finding)}."
    if finding.claim == "prior":
        return f"Only the public prior was rebuilt: the attack got nothing from {who} that public data does not show."
    if finding.status is Status.LEAK:
        return plain.sentence(f"{who} gives away {what(finding)}")
    if finding.status is Status.UNCLEAR:
        return f"Unclear whether {who} gives away {what(finding)}."
    return f"No leak found: this attack did not show that {who} gives away {what(finding)}."


def numbers(finding: Finding) -> list[str]:
    """Say each number of the claim, one sentence a number; the one that carries it comes first."""
    said = [each(finding) for each in _NUMBERS]
    carrier = carrying(finding)
    if carrier is not None and carrier.name == "auc":
        said.insert(0, said.pop(said.index(_pairs(finding))))
    return [text for text in said if text]


def pictures(finding: Finding) -> str:
    """Say whether recognisable pictures were rebuilt: a claim of its own, beside "information leaks"."""
    rank = finding.number("rank1")
    if rank is None or rank.value is None:
        return ""
    beside = {
        control_of_pictures(finding): rank.control,
        "from public data alone": value(finding, "rank1_prior"),
        "from the start picture": value(finding, "rank1_start"),
    }
    rest = [f"{plain.in_100(rate)} {origin}" for origin, rate in beside.items() if rate is not None]
    text = f"A matching program that is not this model recognises {plain.in_100(rank.value)} rebuilt pictures"
    text += f", against {', '.join(rest)}" if rest else ""
    if not rest or rank.low is None:
        return f"{text}; without something to compare with, this is no proof of recognisable pictures."
    best, origin = max((rate, origin) for origin, rate in beside.items() if rate is not None)
    if rank.value <= best:
        return f"{text}: no more than {origin}, so no recognisable picture is shown to have been rebuilt."
    if rank.low > best:
        return f"{text}: recognisable pictures were rebuilt (to that program; a person may see less)."
    if coins_of(finding) is not None and finding.status is Status.LEAK:
        return f"{text}: information leaks, but no recognisable picture is shown to have been rebuilt."
    return f"{text}: that may be chance, so no recognisable picture is shown to have been rebuilt."


def size(finding: Finding) -> str:
    """Say how large a proven leak is at least, in the units of privacy theory; "" for any other finding."""
    mu, ceiling, epsilon = (finding.number(name) for name in ("mu", "mu_ceiling", "epsilon"))
    if finding.status is not Status.LEAK or mu is None or mu.value is None:
        return ""
    text = f"In the units of privacy theory the leak is at least mu = {plain.number(mu.value)}"
    if epsilon is not None and epsilon.value is not None:
        text += f" or epsilon = {plain.number(epsilon.value)}"
    if ceiling is not None and ceiling.value is not None:
        text += f"; {plain.number(ceiling.value)} is the most that this audit could have shown"
    return text + "."


def would_have_seen(finding: Finding, policy: Mapping[str, Any], name: str = "this attack") -> str:
    """Say what the audit would have noticed; "" unless the claim ended as "no leak found" and its numbers bear it."""
    if finding.status is not Status.NONE:
        return ""
    coins, look_for = coins_of(finding), policy.get("look_for")
    smallest = value(finding, "success_detectable")
    if at_false_alarms(finding) is not None:
        found = f"{plain.in_100(LOOK_FOR_TPR)} training {NOUNS[finding.unit]}"
        return (
            f"Had {name} recognised {found} while wrongly accusing {plain.in_100(LOOK_FOR_FPR)} others, "
            "we would have seen it."
        )
    if tail_of(finding) is not None:
        ruled = f"{plain.in_100(LOOK_FOR_TPR)} other {NOUNS[finding.unit]}"
        return f"Had {name} ruled out {ruled} and only {plain.in_100(LOOK_FOR_FPR)} members, we would have seen it."
    if look_for is None or (smallest is not None and smallest > look_for):
        return ""
    if finding.number("fidelity") is not None:
        closed = plain.of(2 * look_for - 1)
        return f"Had {name} closed {closed} of the gap that copying without asking leaves, we would have seen it."
    if coins is not None or finding.number("gain") is not None:
        return f"Had {name} been right on {plain.of(look_for)} secrets, we would have seen it."
    if finding.claim == "record" and finding.number("auc") is not None:
        return f"Had {name} told {plain.of(look_for)} pairs of records apart, we would have seen it."
    if finding.number("rank1") is not None:
        return f"Had {plain.of(look_for)} rebuilt pictures been recognised, we would have seen it."
    return ""


def where(finding: Finding) -> str:
    """Say on which models, or released tables, the claim was measured."""
    if finding.threat.observes is Observes.RELEASE:
        anew = "1 table" if finding.runs == 1 else f"{finding.runs} tables"
        given = finding.about == "model"
        return "Measured on the given table itself." if given else f"Measured on {anew} released anew the same way."
    if finding.about == "model":
        return "Measured on the given model itself."
    trained = "1 model" if finding.runs == 1 else f"{finding.runs} models"
    return f"Measured on {trained} trained anew the same way, so it is about the recipe."


def boundary(finding: Finding) -> str:
    """Say what a leak of this kind does not mean."""
    return _BOUNDARY.get(finding.claim, "") if finding.status is Status.LEAK else ""


def shown(finding: Finding) -> str:
    """Say how the claim ended and what its numbers are."""
    if finding.status is Status.NOT_RUN:
        return f"{opening(finding)} Why: {plain.sentence(finding.reason)}"
    return " ".join([opening(finding), *numbers(finding)])


def limits(finding: Finding, policy: Mapping[str, Any]) -> str:
    """Say what would settle it, how large the leak is at least, what would have been seen, what it does not mean."""
    if finding.status is Status.NOT_RUN:
        return ""
    why = finding.reason if finding.status is Status.UNCLEAR or not numbers(finding) else ""
    parts = [plain.sentence(why), size(finding), would_have_seen(finding, policy)]
    parts += [boundary(finding), where(finding), accepted(finding)]
    return " ".join(part for part in parts if part)


def whole(finding: Finding, policy: Mapping[str, Any]) -> str:
    """Say everything about one finding: how it ended, its numbers, its limits."""
    return f"{shown(finding)} {limits(finding, policy)}".strip()


def accepted(finding: Finding) -> str:
    """Say that the owner lives with it, and why; "" otherwise."""
    return f"Accepted by the owner: {plain.sentence(finding.accepted)}" if finding.accepted else ""


def attacker(threat: ThreatModel) -> str:
    """Say what this attacker sees, may send and knows."""
    holds = {Knows.PUBLIC: "holds public data of the same kind", Knows.RECIPE: "knows how the model is trained"}
    known = [words for item, words in holds.items() if item in threat.knows]
    if threat.observes is Observes.RELEASE:
        return ", ".join(["sees the released table", *known[:1]]) + "."
    sees = {
        Access.LABEL: "sees only the name of the class",
        Access.SCORES: "sees class scores",
        Access.LOGITS: "sees raw class scores (logits)",
        Access.GRADIENTS: "sees gradients",
        Access.WEIGHTS: "holds the whole model, with its weights",
    }[threat.access]
    limits = []
    if threat.top_k is not None:
        limits.append(f"only the {threat.top_k} largest")
    if threat.decimals is not None:
        limits.append(f"rounded to {plain.several(threat.decimals, 'decimal')}")
    sees += f" ({', '.join(limits)})" if limits else ""
    if threat.access is not Access.WEIGHTS:
        sees += ", may send any number of queries" if threat.queries is None else ""
        sees += f", may send {plain.several(threat.queries, 'query', 'queries')}" if threat.queries is not None else ""
    return ", ".join([sees, *known]) + "."


def _coins(finding: Finding) -> str:
    coins = coins_of(finding)
    if coins is None:
        return ""
    text = f"The attack guessed {plain.count(coins.right)} of {plain.several(coins.guesses, 'hidden secret')} right"
    text += f"; {coins.by_luck}" if coins.by_luck else ""
    if coins.secrets is not None and coins.guesses < coins.secrets:
        text += f" (it chose which of the {plain.count(coins.secrets)} secrets to guess)"
    spread = plain.between(coins.low, coins.high)
    return f"{text}. Its true hit rate is very likely {spread}." if spread else text + "."


def _recognised_members(finding: Finding) -> str:
    tpr = at_false_alarms(finding)
    if tpr is None:
        return ""
    alarms, found = tpr
    if found.value is None:
        return f"There are too few other {NOUNS[finding.unit]} to measure at {plain.in_100(alarms)} false alarms."
    spread = plain.between(found.low, found.high)
    text = f"It recognises {plain.in_100(found.value)} training {NOUNS[finding.unit]}"
    text += f" (very likely {spread})" if spread else ""
    return f"{text} while {plain.in_100(alarms)} others are wrongly accused."


def _ruled_out(finding: Finding) -> str:
    tail = tail_of(finding)
    if tail is None or tail.value is None:
        return ""
    spread = plain.between(tail.low, tail.high)
    text = f"It rules out {plain.in_100(tail.value)} other {NOUNS[finding.unit]}"
    text += f" (very likely {spread})" if spread else ""
    rate = plain.in_100(float(tail.name.rpartition("_")[2]))
    return f"{text} while {rate} training {NOUNS[finding.unit]} are ruled out, too."


def _pairs(finding: Finding) -> str:
    auc = finding.number("auc")
    if auc is None or auc.value is None:
        return ""
    if finding.claim == "attribute":
        others = f", and in {plain.in_100(auc.control)} of others" if auc.control is not None else ""
        pairs = f"it puts the right one of a pair first in {plain.in_100(auc.value)} training records{others}"
        return f"Ranking secret values, {pairs}."
    noun = NOUN[finding.unit]
    if finding.number("rank1") is not None:
        text = f"A rebuilt picture is more like its own {noun} than like another in {plain.in_100(auc.value)} pairs"
    else:
        text = f"Shown one training {noun} and one other, it picks the right one in {plain.in_100(auc.value)} pairs"
    spread = plain.between(auc.low, auc.high)
    return f"{text} (very likely {spread}; luck gives 50)." if spread else f"{text} (luck gives 50)."


def _shift(finding: Finding) -> str:
    shift = finding.number("leak_z")
    if shift is None or shift.value is None:
        return ""
    way = "above" if shift.value >= 0 else "below"
    text = f"It scores {plain.number(abs(shift.value))} standard steps {way} the same attack on control models"
    if shift.low is None or shift.high is None:
        return text + "."
    return f"{text} (very likely between {plain.number(shift.low)} and {plain.number(shift.high)})."


def _rebuilt(finding: Finding) -> str:
    error, exact = value(finding, "median_error"), value(finding, "exact")
    if error is None or exact is None:
        return ""
    near = f"The middle one of the rebuilt records is {plain.number(error)} standard deviations from the true one"
    return f"{near}; {plain.in_100(exact)} are exact."


def _named(finding: Finding) -> str:
    named, equal, rare = (value(finding, name) for name in ("named", "named_by_equality", "named_at_false_0.01"))
    if named is None or equal is None:
        return ""
    spread = plain.between(*((found.low, found.high) if (found := finding.number("named")) else (None, None)))
    text = f"It links {plain.in_100(named)} people with their own row" + (f" (very likely {spread})" if spread else "")
    text += f"; picking among equal rows links {plain.in_100(equal)}"
    alarms = "while 1 in 100 people who are not in the table are linked as surely"
    return f"{text}. It links {plain.in_100(rare)} rightly {alarms}." if rare is not None else f"{text}."


def _copied(finding: Finding) -> str:
    found, queries = finding.number("fidelity"), value(finding, "queries")
    if found is None or found.value is None or queries is None:
        return ""
    spread = plain.between(found.low, found.high)
    text = f"Made with {plain.several(round(queries), 'query', 'queries')}, a copy answers {plain.in_100(found.value)} "
    text += "records as the model does" + (f" (very likely {spread})" if spread else "")
    text += f"; one made without asking, {plain.in_100(found.control)}" if found.control is not None else ""
    scores = finding.number("same_scores")
    if scores is None or scores.value is None or scores.control is None:
        return text + "."
    return (
        f"{text}. It gives the very scores, to 1 in 100, for {plain.in_100(scores.value)} records; "
        f"one made without asking for {plain.in_100(scores.control)}."
    )


def _risk(finding: Finding) -> str:
    risk = finding.number("risk")
    name, found = next(((name, found) for name in _DONE if (found := finding.number(name)) is not None), ("", None))
    if risk is None or risk.value is None or found is None or found.value is None or found.control is None:
        return ""
    text = f"It {_DONE[name]} in {plain.in_100(found.value)} attempts on the records that the table was made from, in "
    text += f"{plain.in_100(found.control)} on others"
    blind, spread = value(finding, "blind"), plain.between(risk.low, risk.high)
    text += f" and in {plain.in_100(blind)} blind ones" if blind is not None else ""
    return f"{text}: a risk of {plain.percent(risk.value)}" + (f" (very likely {spread})." if spread else ".")


_DONE = {
    "linked": "links the two halves of a record",
    "singled_out_by_one": "points at exactly one record by one value",
    "singled_out_by_several": "points at exactly one record by several values",
}


def _gain(finding: Finding) -> str:
    gain = finding.number("gain")
    if gain is None or gain.value is None:
        return ""
    way = "more" if gain.value >= 0 else "fewer"
    text = f"Beyond guessing without the model, it tells {plain.in_100(abs(gain.value))} {way} secrets"
    text += " of training records than of others"
    if gain.low is None or gain.high is None:
        return text + "."
    return f"{text} (very likely between {100 * gain.low:+.0f} and {100 * gain.high:+.0f} in 100)."


def _balanced(finding: Finding) -> str:
    gmean = finding.number("g_mean")
    if gmean is None or gmean.value is None:
        return ""
    others = "" if gmean.control is None else f" and {plain.number(gmean.control)} on others"
    return f"Its balanced hit rate (G-mean) is {plain.number(gmean.value)} on training records{others}."


_NUMBERS = (
    _coins, _recognised_members, pictures, _ruled_out, _gain, _pairs, _shift, _balanced, _rebuilt, _named, _risk,
    _copied,
)  # fmt: skip
"""Each says one number of a finding, or "" where the finding has none of its kind."""
