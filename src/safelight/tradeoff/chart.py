"""The comparison picture: accuracy against leak with intervals, and what each defence costs; readable in print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.errors import InputError
from safelight.measures.reidentification import success_among
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
COSTS = {"training": "o", "latency": "^", "size": "s"}
CALLED = {"training": "CPU time of a training", "latency": "CPU time of an answer", "size": "bytes of the model"}
NOTES = (
    "red discs: differential privacy, the only", "defence here with a guarantee",
    "pale steps: nothing else measured is better", "marks: the best attack; dashes: the others", "bars: 95 % intervals",
)  # fmt: skip
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
    """Return the figure: a panel for each claim that some attack answered; below them the key, the cost and notes."""
    import matplotlib
    from matplotlib.figure import Figure

    claims = list(dict.fromkeys(leak.about for point in points for leak in point.leaks if not leak.refused))
    if not claims:
        raise InputError("No attack could be run on any defence, so there is nothing to draw; see the reasons given.")
    shown = [point for point in points if not point.refused]
    with matplotlib.rc_context(STYLE):
        above, below = 3.6, 0.8 + 0.235 * max(len(shown), 8)
        figure = Figure(figsize=(max(8.4, 4.3 * len(claims)), above + below), layout="constrained")
        grid = figure.add_gridspec(2, 1, height_ratios=[above, below])
        top, bottom = grid[0].subgridspec(1, len(claims)), grid[1].subgridspec(1, 3, width_ratios=[1.15, 1, 1])
        for column, claim in enumerate(claims):
            _panel(figure.add_subplot(top[column]), shown, claim)
        key, cost, notes = (figure.add_subplot(bottom[column]) for column in range(3))
        _key(key, shown)
        _costs(cost, shown)
        _notes(notes)
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
        _others(axes, number, point, leak)
        _mark(axes, number, point, leak, taken)
    _mu_axis(axes, placed[0][2].k)
    axes.set_title(ABOUT.get(claim, claim), loc="left", fontsize=10, color=INK)
    axes.set_xlabel("accuracy on held-out records, %")
    axes.set_ylabel("right guesses in 100")
    axes.text(1, 100 * chance - 1, "chance", transform=axes.get_yaxis_transform(), ha="right", va="top", color=MUTED,
              fontsize=8.5)  # fmt: skip
    axes.grid(color=BAND, lw=0.8)
    axes.set_axisbelow(True)


def _others(axes: Axes, number: int, point: Point, worst: Leak) -> None:
    """Draw a dash for each attack that is not the best one."""
    colour, _ = _looks(number, point)
    others = [leak for leak in point.leaks if leak.about == worst.about and not leak.refused and leak is not worst]
    axes.plot([100 * (point.accuracy.value or 0.0)] * len(others), [100 * (leak.success.value or 0) for leak in others],
              marker="_", ms=7, mew=1.2, color=colour, alpha=0.75, ls="none", zorder=3)  # fmt: skip


def _mu_axis(axes: Axes, k: int) -> None:
    """Write mu at the right side, where its share of right guesses among k stands at the left."""
    ticks = (0, 0.5, 1, 2, 3, 4)
    side = axes.secondary_yaxis("right")
    side.set_yticks([100 * success_among(mu, k) for mu in ticks], [f"{mu:g}" for mu in ticks])
    side.set_ylabel("mu")
    side.spines["right"].set_visible(True)


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


def _key(axes: Axes, points: Sequence[Point]) -> None:
    axes.axis("off")
    for number, point in enumerate(points):
        _number(axes, 0.04, number, number, point)
        axes.text(0.11, number, _called(point.name), va="center", fontsize=8.5, color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(_rows(points))


def _costs(axes: Axes, points: Sequence[Point]) -> None:
    """Draw what each defence costs in the row of its name, as ratios on a logarithmic scale."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    axes.axvline(1, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=1)
    for name, marker in COSTS.items():
        found = [(getattr(point.cost, f"{name}_ratio"), row) for row, point in enumerate(points) if point.cost]
        known = [(ratio, row) for ratio, row in found if ratio]
        axes.plot([ratio for ratio, _ in known], [row for _, row in known], marker=marker, ms=6, mfc="none", mec=INK,
                  mew=1.2, ls="none", label=CALLED[name], zorder=3)  # fmt: skip
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    low, high = min(low, 0.4), max(high, 2.5)
    ticks = [tick for tick in (0.001, 0.01, 0.1, 0.5, 1, 2, 10, 100, 1000, 10_000) if low <= tick <= high]
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks if len(ticks) < 6 else [t for t in ticks if t not in (0.5, 2)]))
    axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(_rows(points))
    axes.set_yticks(range(len(points)), [""] * len(points))
    axes.tick_params(axis="y", length=0)
    axes.grid(color=BAND, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("times as much as without a defence")
    axes.set_title("what it costs", loc="left", fontsize=10, color=INK)


def _notes(axes: Axes) -> None:
    axes.axis("off")
    for row, (name, marker) in enumerate(COSTS.items()):
        axes.plot(0.03, row, marker=marker, ms=6, mfc="none", mec=INK, mew=1.2, ls="none")
        axes.text(0.09, row, CALLED[name], va="center", fontsize=8, color=MUTED)
    for row, note in enumerate(NOTES, start=len(COSTS)):
        axes.text(0, row, note, va="center", fontsize=8, color=MUTED)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(COSTS) + len(NOTES) - 0.5, -0.5)


def _rows(points: Sequence[Point]) -> tuple[float, float]:
    return max(len(points), 8) - 0.4, -0.6


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
