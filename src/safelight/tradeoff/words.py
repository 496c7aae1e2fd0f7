"""What each defence did, in sentences computed from the points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from safelight.report.model import Remedy
from safelight.report.remedies import ABOUT
from safelight.tradeoff.point import Leak, Point


def said(points: Sequence[Point]) -> Iterator[str]:
    """Yield, claim by claim, one sentence a defence, the most helpful first; then what could not be tried."""
    undefended, others = points[0], points[1:]
    for claim in dict.fromkeys(leak.about for point in points for leak in point.leaks):
        before = undefended.worst(claim)
        if before is None:
            continue
        yield f"{ABOUT.get(claim, claim).capitalize()}: without a defence {_guessed(before)}."
        for point in sorted(others, key=lambda point: _rank(point, claim)):
            if not point.refused:
                yield f"  {point.name} {sentence(point, undefended, claim)}"
        yield ""
    for point in points:
        if point.refused:
            yield f"Not tried: {point.name}. {point.refused}"


def sentence(point: Point, undefended: Point, claim: str) -> str:
    """Return what one defence did to one claim, to the accuracy and to the time of training."""
    worst, change = point.worst(claim), point.changes.get(claim)
    if worst is None or change is None:
        effect = "leaves no door for these attacks, which is not the same as no leak"
    else:
        effect = f"{verdict(point, claim)}: {_guessed(worst)}"
    costs = []
    if point.accuracy.value is not None and undefended.accuracy.value is not None:
        costs.append(f"accuracy {100 * point.accuracy.value:.1f} % ({100 * undefended.accuracy.value:.1f} % before)")
    if point.cost is not None and point.cost.training_ratio is not None:
        costs.append(f"training {point.cost.training_ratio:.1f} times as long")
    return f"{effect}; {', '.join(costs)}." + (f" {point.guarantee}" if point.guarantee else "")


def remedies(points: Sequence[Point]) -> tuple[Remedy, ...]:
    """Return the facts of the same sentences, in the same order, for a report."""
    undefended, found = points[0], []
    for claim in dict.fromkeys(leak.about for leak in undefended.leaks):
        before = undefended.worst(claim)
        if before is None:
            continue
        for point in sorted(points[1:], key=lambda point: _rank(point, claim)):
            worst = point.worst(claim)
            if point.refused:
                continue
            code, right, guesses = ("", 0, 0) if worst is None else (worst.code, worst.right, worst.guesses)
            found.append(Remedy(
                point.name, claim, code, right, guesses, before.right, before.guesses, verdict(point, claim),
                point.accuracy.value, undefended.accuracy.value,
                None if point.cost is None else point.cost.training_ratio, point.guarantee,
            ))  # fmt: skip
    return tuple(found)


def verdict(point: Point, claim: str) -> str:
    """Return whether a defence helped against one claim, as far as the interval of the change allows to say."""
    change = point.changes.get(claim)
    if change is None or change.low is None or change.high is None:
        return "not compared"
    if change.high < 0:
        return "helps"
    return "makes it worse" if change.low > 0 else "no difference seen"


def _guessed(leak: Leak) -> str:
    return f"{leak.code} is right in {leak.right} of {leak.guesses} ({leak.guesses / leak.k:.0f} by chance)"


def _rank(point: Point, claim: str) -> float:
    worst = point.worst(claim)
    return 0.0 if worst is None or worst.success.value is None else worst.success.value
