"""The comparison in words and numbers, for a terminal or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from safelight.measures.base import Measurement
from safelight.tradeoff.point import Leak, Point


def lines(points: Sequence[Point]) -> Iterator[str]:
    """Yield one block a claim: every defence, its accuracy, the best attack on it, mu, the change, the cost."""
    claims = dict.fromkeys(leak.claim for point in points for leak in point.leaks)
    for claim in claims:
        pictures = any(leak.margin for point in points for leak in point.leaks if leak.claim == claim)
        yield f"{claim}: the best attack on each"
        yield (
            f"  {'defence':40}{'accuracy':>9}  {'attack':7}{'right':>10}  {'mu':>18}  {'change':>19}"
            f"{'training':>9}{'size':>7}  {'nearer' if pictures else ''}".rstrip()
        )
        for point in points:
            worst = point.worst(claim)
            if worst is not None:
                yield _row(point, worst)
            elif not point.refused:
                refused = next((leak.refused for leak in point.leaks if leak.claim == claim), "no attack can look here")
                yield f"  {point.name[:39]:40}{_percent(point.accuracy.value):>9}  {refused}"
        yield ""
    for point in points:
        if point.refused:
            yield f"not tried: {point.name}: {point.refused}"
    for point in points:
        if point.guarantee:
            yield f"{point.name}: {point.guarantee}"


def _row(point: Point, leak: Leak) -> str:
    change, cost = _change(point.changes.get(leak.claim)), point.cost
    training = "" if cost is None or cost.training_ratio is None else f"{cost.training_ratio:.1f} x"
    size = "" if cost is None or cost.size_ratio is None else f"{cost.size_ratio:.2f} x"
    return (
        f"  {point.name[:39]:40}{_percent(point.accuracy.value):>9}  {leak.code:7}{f'{leak.right}/{leak.guesses}':>10}"
        f"  {_mu(leak):>18}  {change:>19}{training:>9}{size:>7}  {_nearer(leak)}"
    ).rstrip()


def _nearer(leak: Leak) -> str:
    """How much nearer its pictures are to the right candidate than before, as correlations; "" without pictures."""
    if leak.margin is None or leak.margin.value is None:
        return ""
    return f"{leak.margin.value:+.2f} ({leak.margin.low or 0.0:+.2f} to {leak.margin.high or 0.0:+.2f})"


def _change(change: Measurement | None) -> str:
    if change is None or change.value is None:
        return ""
    low, high = (100 * (end or 0.0) for end in (change.low, change.high))
    return f"{100 * change.value:+.0f} ({low:+.0f} to {high:+.0f})"


def _mu(leak: Leak) -> str:
    if leak.mu.value is None:
        return ""
    low, high = leak.mu.low or 0.0, leak.mu.high
    value = "> " + f"{low:.2f}" if leak.mu.value == float("inf") else f"{leak.mu.value:.2f}"
    end = "inf" if high is None or high == float("inf") else f"{high:.2f}"
    return f"{value} [{low:.2f}, {end}]"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
