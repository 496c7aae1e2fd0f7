"""The one sentence that a finding gives for its status, computed from its numbers."""

from __future__ import annotations

from safelight.verdict.finding import Status
from safelight.verdict.levels import LOOK_FOR_TPR, Policy
from safelight.verdict.outcome import Outcome


def reason(outcome: Outcome, status: Status, policy: Policy) -> str:
    """Return why this outcome has this status: what was seen, and what could have been seen."""
    seen = _seen(outcome)
    if status is Status.LEAK:
        return f"{seen}."
    if status is Status.NONE:
        return f"{seen}; {_reach(outcome, policy)}."
    return f"{seen}; {outcome.settle}." if outcome.settle else f"{seen}."


def _seen(outcome: Outcome) -> str:
    numbers = {item.name: item for item in outcome.measured}
    if "coins_correct" in numbers:
        right, guesses = numbers["coins_correct"], numbers["guesses"]
        return f"right on {right.value:.0f} of {guesses.value:.0f} secrets, where luck gives {right.control:.0f}"
    if "rank1" in numbers:
        first, pairs = numbers["rank1"], numbers["auc"]
        never = "from a model that never saw it" if "leak_z" in numbers else "by luck"
        return (
            f"{first.value:.0%} of the rebuilt pictures were matched with the right class first, "
            f"{first.control:.0%} {never}; its own class beat another in {pairs.value:.0%} of pairs (luck: 50%)"
        )
    if "gain" in numbers:
        gain = numbers["gain"]
        return f"the attack told {gain.value:+.0%} more of members' secrets than of nonmembers', beyond imputation"
    if "named" in numbers:
        named = numbers["named"]
        return (
            f"{named.value:.0%} of the people were linked with their own row, {named.control:.1%} where every column "
            "is shuffled"
        )
    if "fidelity" in numbers:
        found, queries = numbers["fidelity"], numbers["queries"]
        scores = numbers.get("same_scores")
        beside = "" if scores is None else f"; of the scores {scores.value:.1%} and {scores.control:.1%} are the same"
        return (
            f"a copy made with {queries.value:,.0f} queries answers {found.value:.1%} of the records as the model, "
            f"one made without any {found.control:.1%}{beside}"
        )
    if "risk" in numbers:
        risk, found = numbers["risk"], next(item for name, item in numbers.items() if name not in ("risk", "blind"))
        return (
            f"{found.value:.0%} of the attempts on records behind the table succeeded, {found.control:.0%} on others: "
            f"a risk of {risk.value:.0%}"
        )
    auc = numbers["auc"]
    rates = [f"{item.value:.1%} at {item.control:.1%} false alarms" for name, item in numbers.items()
             if name.startswith("tpr") and item.value is not None]  # fmt: skip
    more = f", recognised {', '.join(rates)}" if rates else ""
    return f"members told from nonmembers with AUC {auc.value:.2f} (luck: 0.50){more}"


def _reach(outcome: Outcome, policy: Policy) -> str:
    if any(item.name.startswith("tpr") for item in outcome.measured):
        return f"an attack that recognises {LOOK_FOR_TPR:.0%} of the members at 1% false alarms would have been seen"
    if any(item.name == "named" for item in outcome.measured):
        return f"an attack that links {LOOK_FOR_TPR:.0%} of the people would have been seen"
    if any(item.name == "fidelity" for item in outcome.measured):
        return f"a copy that closes {2 * policy.look_for - 1:.0%} of the gap would have been seen"
    if any(item.name == "risk" for item in outcome.measured):
        return f"a risk of {policy.look_for - 0.5:.0%} would have been seen"
    return f"an attack right on {policy.look_for:.0%} of the secrets would have been seen"
