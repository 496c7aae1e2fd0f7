"""The comparison picture: accuracy against leak, with intervals, readable in print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.errors import InputError
from safelight.report.remedies import ABOUT
from safelight.tradeoff.pareto import front
from safelight.tradeoff.point import Leak, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, BAND = "#1d1a17", "#625a52", "#d9d2c9", "#f1ece5"
BEFORE, DEFENDED, PRIVATE = "#1d1a17", "#1f6f8b", "#a32e0a"
STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "tradeoff", "text.parse_math": False, "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": MUTED, "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
}  # fmt: skip
_WIDE, _HIGH = 0.062, 0.085  # of a panel: how near two marks may be


def save(points: Sequence[Point], path: Path, title: str) -> None:
    """Draw one panel a claim and save it; the end of the name chooses SVG, PNG or PDF.

    Raises:
        InputError: nothing was measured, or the file cannot be written.
    """
    import matplotlib

    figure = draw(points, title)
    try:
        metadata: Any = {"Date": None} if path.suffix == ".svg" else {}
        with matplotlib.rc_context(STYLE):  # the ids of an SVG are made when it is written
            figure.savefig(path, dpi=200, metadata=metadata)
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot write the picture {path}: {error}; choose another folder, or .svg or .png.") from None


def draw(points: Sequence[Point], title: str) -> Figure:
    """Return the figure: a panel for each claim that some attack answered, and the key beside them."""
    import matplotlib
    from matplotlib.figure import Figure

    claims = list(dict.fromkeys(leak.claim for point in points for leak in point.leaks if not leak.refused))
    if not claims:
        raise InputError("No attack could be run on any defence, so there is nothing to draw; see the reasons given.")
    shown = [point for point in points if not point.refused]
    with matplotlib.rc_context(STYLE):
        rows = max(3.6, 0.62 + 0.235 * (len(shown) + 5))
        figure = Figure(figsize=(3.9 * len(claims) + 3.6, rows), layout="constrained")
        parts = figure.subplots(1, len(claims) + 1, width_ratios=[*[1.0] * len(claims), 0.92], squeeze=False)[0]
        for claim, axes in zip(claims, parts, strict=False):
            _panel(axes, shown, claim)
        _key(parts[-1], shown, claims)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _panel(axes: Axes, points: Sequence[Point], claim: str) -> None:
    placed = [(number, point, leak) for number, point in enumerate(points) if (leak := point.worst(claim)) is not None]
    chance = placed[0][2].success.control or 0.5
    best = [(point.accuracy.value or 0.0, _success(point, claim)) for point in front(points, claim)]
    axes.step([100 * x for x, _ in best], [100 * y for _, y in best], where="post", color=LINE, lw=6, zorder=1)
    axes.axhline(100 * chance, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=1)
    private = sorted(
        (point.accuracy.value or 0.0, leak.success.value or 0.0) for _, point, leak in placed if point.guarantee
    )
    axes.plot([100 * x for x, _ in private], [100 * y for _, y in private], color=PRIVATE, lw=1.2, zorder=2)
    axes.set_ylim(min(100 * chance - 14, *(100 * (leak.success.low or 0) - 3 for *_, leak in placed)), 106)
    axes.set_xlim(*_around([100 * end for _, point, _ in placed for end in _ends(point)]))
    taken: list[tuple[float, float]] = []
    for number, point, leak in placed:
        _mark(axes, number, point, leak, taken)
    axes.set_title(ABOUT.get(claim, claim), loc="left", fontsize=10, color=INK)
    axes.set_xlabel("accuracy on held-out records, %")
    axes.set_ylabel("right guesses in 100")
    axes.text(1, 100 * chance - 1, "chance", transform=axes.get_yaxis_transform(), ha="right", va="top", color=MUTED,
              fontsize=8.5)  # fmt: skip
    axes.grid(color=BAND, lw=0.8)
    axes.set_axisbelow(True)


def _mark(axes: Axes, number: int, point: Point, leak: Leak, taken: list[tuple[float, float]]) -> None:
    """Draw one point with its intervals; where another stands already, its number moves aside on a thread."""
    x, y = 100 * (point.accuracy.value or 0.0), 100 * (leak.success.value or 0.0)
    colour, _ = _looks(number, point)
    ends = [100 * (end if end is not None else 0) for end in (leak.success.low, leak.success.high)]
    axes.plot([x, x], ends, color=colour, lw=1, alpha=0.5, zorder=3)
    if point.accuracy.low is not None and point.accuracy.high is not None:
        wide = [100 * point.accuracy.low, 100 * point.accuracy.high]
        axes.plot(wide, [y, y], color=colour, lw=1, alpha=0.22, zorder=3)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across, up = (x - left) / (right - left), (y - bottom) / (top - bottom)
    place = next(spot for spot in _spots(across, up) if _free(spot, taken))
    taken.append(place)
    at = (left + place[0] * (right - left), bottom + place[1] * (top - bottom))
    if place != (across, up):
        axes.plot([x, at[0]], [y, at[1]], color=colour, lw=0.8, alpha=0.7, zorder=3)
        axes.plot(x, y, marker="o", ms=3.5, color=colour, ls="none", zorder=3)
    _number(axes, *at, number, point)


def _spots(across: float, up: float) -> Iterator[tuple[float, float]]:
    """Yield the place itself, then places around it on ever wider rings, to the left and below first."""
    yield across, up
    for ring in range(1, 40):
        for turn in (6, 7, 5, 8, 4, 9, 3, 10, 2, 11, 1, 0):
            angle = math.pi / 6 * turn
            spot = (across + ring * _WIDE * math.cos(angle), up + ring * _HIGH * math.sin(angle))
            if 0.03 < spot[0] < 0.97 and 0.04 < spot[1] < 0.99:
                yield spot


def _free(spot: tuple[float, float], taken: Sequence[tuple[float, float]]) -> bool:
    return all(math.hypot((spot[0] - a) / _WIDE, (spot[1] - b) / _HIGH) > 0.98 for a, b in taken)


def _number(axes: Axes, x: float, y: float, number: int, point: Point) -> None:
    """Draw one number in its mark: a square without a defence, a disc with a guarantee, else a ring."""
    colour, marker = _looks(number, point)
    inside, ink = (colour, "white") if point.guarantee else ("white", colour)
    axes.plot(x, y, marker=marker, ms=13.5, mfc=inside, mec=colour, mew=1.4, ls="none", zorder=4)
    axes.text(x, y, str(number), ha="center", va="center_baseline", color=ink, fontsize=8, fontweight="bold", zorder=5)


def _key(axes: Axes, points: Sequence[Point], claims: Sequence[str]) -> None:
    axes.axis("off")
    step, top = 1 / (len(points) + 5), 1.0
    for number, point in enumerate(points):
        y = top - step * (number + 0.6)
        _number(axes, 0.03, y, number, point)
        axes.text(0.1, y, _called(point.name), va="center", fontsize=8.5, color=INK)
    notes = ["red discs: differential privacy, the only", "defence here with a guarantee",
             "pale steps: nothing else measured is better", "bars: 95 % intervals"]  # fmt: skip
    for row, note in enumerate(notes):
        axes.text(0, top - step * (len(points) + 1.1 + row * 0.95), note, va="center", fontsize=8, color=MUTED)
    axes.set_xlim(-0.02, 1)
    axes.set_ylim(0, 1)


def _ends(point: Point) -> list[float]:
    return [end for end in (point.accuracy.low, point.accuracy.value, point.accuracy.high) if end is not None]


def _around(values: Sequence[float]) -> tuple[float, float]:
    room = 0.04 * (max(values) - min(values)) or 1.0
    return min(values) - room, max(values) + room


def _looks(number: int, point: Point) -> tuple[str, str]:
    if point.guarantee:
        return PRIVATE, "o"
    return (BEFORE, "s") if number == 0 else (DEFENDED, "o")


def _success(point: Point, claim: str) -> float:
    worst = point.worst(claim)
    return 0.0 if worst is None or worst.success.value is None else worst.success.value


def _called(name: str) -> str:
    return "no defence" if name == "none" else name if len(name) <= 42 else name[:39] + "..."
