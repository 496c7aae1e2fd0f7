"""How far the audit itself can be trusted, in words: sanity ladder, blind gate, likeness of retrained models."""

from __future__ import annotations

from statistics import fmean

from safelight.data.gate import GateResult
from safelight.evidence import Role
from safelight.report import plain
from safelight.report.model import Likeness, Report, Rung
from safelight.verdict.finding import Status

_RUNGS: dict[str, str] = {
    Role.NEVER_SAW: "models trained on other records",
    Role.UNTRAINED: "a model with random starting weights",
    Role.PERMUTED: "a model trained on shuffled labels",
    Role.REDRAWN: "secrets drawn again after the attack",
    Role.PLANTED: "a leak put there on purpose",
}


def place(rung: Rung) -> str:
    """Name the place where a rung stands, in plain words."""
    return plain.sentence(_RUNGS.get(rung.role, rung.role))


def must_be_seen(rung: Rung) -> bool:
    """Whether the attack has to succeed here; everywhere else it has to stay at chance."""
    return rung.role == Role.PLANTED


def rung(rung: Rung) -> str:
    """Say how one rung ended, and how it has to end."""
    if rung.ok is None:
        return f"Not run: {plain.sentence(rung.reason)}"
    if rung.guesses:
        by_luck = plain.count(round(rung.guesses / rung.k, 1))
        text = f"{plain.count(rung.right)} of {plain.count(rung.guesses)} right, where luck gives {by_luck}"
    else:
        text = "One test of all scores" + ("" if rung.p is None else f": luck does as well in {plain.luck(rung.p)}")
    if must_be_seen(rung):
        text += ": the leak was seen, as it must be." if rung.ok else ": the leak was missed, and it must be seen."
    else:
        text += ": at chance, as it must be." if rung.ok else ": better than luck, though nothing can leak here."
    return text if rung.ok else f"{text} {plain.sentence(rung.reason)}".strip()


def ladder(report: Report) -> str:
    """Say how the whole ladder ended."""
    done = [rung for rung in report.ladder if rung.ok is not None]
    if not done:
        return "No sanity check could be run, so nothing vouches for this audit but its own numbers."
    good = sum(bool(rung.ok) for rung in done)
    text = f"{good} of {plain.several(len(done), 'check')} came out as they must"
    missing = len(report.ladder) - len(done)
    text += f"; {missing} could not be run" if missing else ""
    return text + "."


def nulls(report: Report) -> str:
    """Say whether the attacks stayed at chance where nothing can leak."""
    done = [rung for rung in report.ladder if rung.ok is not None and not must_be_seen(rung)]
    if not done:
        return "It was not checked that the attacks stay at chance where nothing can leak."
    good = sum(bool(rung.ok) for rung in done)
    return f"Where nothing can leak, the attacks stayed at chance in {good} of {plain.several(len(done), 'check')}."


def gate(gate: GateResult | None) -> str:
    """Say whether members and nonmembers can be told apart without the model."""
    if gate is None or gate.passed is None:
        return plain.sentence(f"Not tested: {gate.reason}" if gate is not None else "Not tested in this audit")
    numbers = []
    if gate.auc is not None:
        numbers.append(f"AUC {plain.number(gate.auc)}, where 0.5 is luck")
    if gate.p is not None:
        numbers.append(f"luck alone does as well in {plain.luck(gate.p)}")
    if gate.detectable is not None and gate.passed:
        numbers.append(f"a difference of AUC {plain.number(gate.detectable)} would have been seen")
    shown = f" ({'; '.join(numbers)})" if numbers else ""
    if gate.passed:
        return f"Without the model, members and nonmembers could not be told apart{shown}."
    return (
        f"Members and nonmembers differ even without the model{shown}, so comparing them proves no leak. "
        f"{plain.sentence(gate.reason)}"
    ).strip()


def likeness(report: Report) -> str:
    """Say whether what was found on retrained models bears on the given one; "" when nothing was found on them."""
    on_recipe = [item for item in report.findings if item.about == "recipe" and item.status is not Status.NOT_RUN]
    if not on_recipe:
        return ""
    alike = report.likeness
    if alike is None or alike.alike is None:
        unknown = "Whether the given model is like the retrained ones could not be told"
        return f"{unknown}, so these findings are about the recipe only."
    numbers = _accuracies(alike)
    if alike.alike:
        return f"The given model is like the retrained ones{numbers}, so what holds for them bears on it too."
    return f"The given model differs from the retrained ones{numbers}, so these findings are about the recipe only."


def _accuracies(alike: Likeness) -> str:
    if alike.given_accuracy is None or not alike.retrained_accuracy:
        return ""
    given, mean = plain.percent(alike.given_accuracy), plain.percent(fmean(alike.retrained_accuracy))
    runs = len(alike.retrained_accuracy)
    few, many = plain.percent(min(alike.retrained_accuracy)), plain.percent(max(alike.retrained_accuracy))
    spread = mean if few == many else f"{mean} on average, {few} to {many}"
    spread += f", over {runs} trainings" if runs > 1 else ""
    return f" (right on {given} of records that none of them saw, against {spread})"
