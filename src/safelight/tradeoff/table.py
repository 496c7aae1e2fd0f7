"""The comparison in words and numbers, for a terminal or a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from safelight.measures.base import Measurement
from safelight.tradeoff.point import Leak, Point


def lines(points: Sequence[Point]) -> Iterator[str]:
    """Yield two blocks a claim: every defence with its best attack, mu, the change and the cost; then each attack."""
    claims = dict.fromkeys(leak.about for point in points for leak in point.leaks)
    for claim in claims:
        pictures = any(leak.margin for point in points for leak in point.leaks if leak.about == claim)
        yield f"{claim}: the best attack on each"
        yield (
            f"  {'defence':40}{'accuracy':>9}  {'attack':7}{'right':>10}  {'mu':>18}  {'change':>19}"
            f"{'training':>10}{'answer':>9}{'bytes':>8}  {'nearer' if pictures else ''}".rstrip()
        )
        for point in points:
            worst = point.worst(claim)
            if worst is not None:
                yield _row(point, worst)
            elif not point.refused:
                refused = next((leak.refused for leak in point.leaks if leak.about == claim), "no attack can look here")
                yield f"  {point.name[:39]:40}{_percent(point.accuracy.value):>9}  {refused}"
        yield ""
        yield from _each(points, claim)
        yield ""
    for point in points:
        if point.refused:
            yield f"not tried: {point.name}: {point.refused}"
    for point in points:
        if point.guarantee:
            yield f"{point.name}: {point.guarantee}"


def _row(point: Point, leak: Leak) -> str:
    change, cost = _change(point.changes.get(leak.about)), point.cost
    training, answer, size = (
        ("", "", "") if cost is None else map(_times, (cost.training_ratio, cost.latency_ratio, cost.size_ratio))
    )
    return (
        f"  {point.name[:39]:40}{_percent(point.accuracy.value):>9}  {leak.code:7}{f'{leak.right}/{leak.guesses}':>10}"
        f"  {_mu(leak):>18}  {change:>19}{training:>10}{answer:>9}{size:>8}  {_nearer(leak)}"
    ).rstrip()


def _each(points: Sequence[Point], claim: str) -> Iterator[str]:
    """Yield the right guesses in 100 of each attack, a column an attack; "-" where it could not look."""
    codes = sorted({leak.code for point in points for leak in point.leaks if leak.about == claim})
    yield f"{claim}: right guesses in 100 of each attack"
    yield f"  {'defence':40}" + "".join(f"{code:>8}" for code in codes)
    for point in points:
        if point.refused:
            continue
        share = {leak.code: leak.success.value for leak in point.leaks if leak.about == claim and not leak.refused}
        each = [share.get(code) for code in codes]
        yield f"  {point.name[:39]:40}" + "".join("       -" if one is None else f"{100 * one:8.1f}" for one in each)


def _times(ratio: float | None) -> str:
    """Write a ratio with two digits that count, such as "0.94 x" or "12 x"; "" where there is none."""
    if ratio is None:
        return ""
    return f"{ratio:.{2 if ratio < 1 else 1 if ratio < 10 else 0}f} x"


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
