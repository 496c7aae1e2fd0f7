"""Which points nothing else beats in both accuracy and leak."""

from __future__ import annotations

from collections.abc import Sequence

from safelight.tradeoff.point import Point


def front(points: Sequence[Point], claim: str) -> list[Point]:
    """Return the points that no other beats: as accurate and less leaky, or more accurate and no leakier.

    Accuracies and leaks are compared as they were measured; where intervals overlap, the order may be luck. Sorted by
    accuracy, from the least.
    """
    placed = [(point, place) for point in points if (place := _place(point, claim)) is not None]
    kept = [
        (point, (good, leak))
        for point, (good, leak) in placed
        if not any(other >= good and told <= leak and (other, told) != (good, leak) for _, (other, told) in placed)
    ]
    return [point for point, _ in sorted(kept, key=lambda item: item[1])]


def _place(point: Point, claim: str) -> tuple[float, float] | None:
    worst = point.worst(claim)
    if worst is None or worst.success.value is None or point.accuracy.value is None:
        return None
    return point.accuracy.value, worst.success.value
