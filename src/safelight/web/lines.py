"""A line over time as SVG: small, without a script, with words for who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 160.0, 36.0


def line(points: Sequence[tuple[float, float]], bar: float | None, words: str) -> Markup:
    """Return a line of (time, value) points in their order of time.

    Args:
        points: at least one.
        bar: value at which a dashed line is drawn, or None.
        words: what the picture says.
    """
    times, values = [time for time, _ in points], [value for _, value in points]
    low = min([*values, 0.0])
    high = max([*values, low + 1e-9, *([bar * 1.1] if bar is not None else [])])
    span = (times[-1] - times[0]) or 1.0

    def place(time: float, value: float) -> str:
        x = 2 + (WIDTH - 4) * ((time - times[0]) / span if len(times) > 1 else 1.0)
        return f"{x:.1f},{_height(value, low, high):.1f}"

    drawn = " ".join(place(*point) for point in points)
    last = place(*points[-1]).split(",")
    dashed = Markup("")
    if bar is not None:
        at = f"{_height(bar, low, high):.1f}"
        dashed = Markup('<line class="bar" x1="0" x2="{}" y1="{}" y2="{}"></line>').format(f"{WIDTH:g}", at, at)
    return Markup(
        '<svg class="line" viewBox="0 0 {} {}" role="img" aria-label="{}">{}<polyline points="{}"></polyline>'
        '<circle cx="{}" cy="{}" r="2.5"></circle></svg>'
    ).format(f"{WIDTH:g}", f"{HEIGHT:g}", words, dashed, drawn, *last)


def _height(value: float, low: float, high: float) -> float:
    return 2 + (HEIGHT - 4) * (1 - (value - low) / (high - low))
