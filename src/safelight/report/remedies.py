"""What defences did to the leaks that an audit found, in words."""

from __future__ import annotations

from safelight.report import plain
from safelight.report.model import Remedy, Report

TITLE = "What was tried against it, and what it did"
ABOUT = {
    "person": "which of two people was trained",
    "class": "which of two classes was trained",
    "attribute": "which value a secret has",
    "membership": "whether a record was trained on",
}


def opening(report: Report) -> str:
    """Say how the table came about; "" where nothing was tried."""
    if not report.remedies:
        return ""
    tried = {item.defence for item in report.remedies}
    helped = {item.defence for item in report.remedies if item.effect == "helps"}
    return (
        f"{plain.several(len(tried), 'defence')} were trained and attacked again on the same coins; "
        f"{plain.count(len(helped))} lowered some leak by more than luck would. That says how these attacks fare. Only "
        "differential privacy promises anything about others."
    )


def row(item: Remedy) -> tuple[str, str, str, str]:
    """Return the defence, what it did, right guesses after and before, and what it costs."""
    after = "no attack fits its door" if not item.code else f"{item.code}: {_of(item.right, item.guesses)}"
    told = f"{after}; {_of(item.right_before, item.guesses_before)} before"
    costs = []
    if item.accuracy is not None and item.accuracy_before is not None:
        costs.append(f"accuracy {100 * item.accuracy:.1f} % ({100 * item.accuracy_before:.1f} % before)")
    if item.training is not None:
        costs.append(f"training {item.training:.1f} times as long")
    cost = ", ".join(costs) + (f". {item.guarantee}" if item.guarantee else "")
    return item.defence, f"{item.effect}: {ABOUT.get(item.claim, item.claim)}", told, cost


def _of(right: int, guesses: int) -> str:
    return f"{right} of {guesses} right"
