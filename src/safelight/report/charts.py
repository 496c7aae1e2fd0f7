"""Charts as SVG text to write into a page: no script, no font file, the page's own colours, fixed bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from safelight.report import numbers
from safelight.report.model import Curve, Roc
from safelight.verdict.finding import Finding, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from safelight.verdict.dp_claim import Tested

# Stand-ins that are exchanged for the page's variables, so that one drawing serves light and dark.
_INK, _MUTED, _ACCENT, _BAND, _LINE = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {
    _INK: "var(--ink)",
    _MUTED: "var(--muted)",
    _ACCENT: "var(--accent)",
    _BAND: "var(--band)",
    _LINE: "var(--line)",
}
_MARKERS = {Status.LEAK: "^", Status.UNCLEAR: "D", Status.NONE: "o", Status.NOT_RUN: "x"}
_WIDTH, _POINT = 4.8, 10.0


def coins(findings: tuple[Finding, ...]) -> str:
    """Draw each attack's share of right guesses with its interval over the band that luck gives; "" without any."""
    from scipy.stats import binom

    rows = [(item, made) for item in findings if (made := numbers.coins_of(item)) and made.chance is not None]
    if not rows:
        return ""

    def draw(axes: Axes) -> None:
        for row, (finding, made) in enumerate(rows):
            chance = made.chance or 0.0
            low, high = (binom.ppf(share, made.guesses, chance) / made.guesses for share in (0.005, 0.995))
            axes.barh(row, high - low, left=low, height=0.62, color=_BAND, lw=0)
            axes.plot([chance, chance], [row - 0.31, row + 0.31], color=_MUTED, lw=1)
            if made.low is not None and made.high is not None:
                axes.plot([made.low, made.high], [row, row], color=_INK, lw=1.5, solid_capstyle="butt")
            leak = finding.status is Status.LEAK
            hollow = finding.status is Status.NONE
            axes.plot(
                made.rate,
                row,
                marker=_MARKERS[finding.status],
                ms=8,
                mfc="none" if hollow else _ACCENT if leak else _INK,
                mec=_ACCENT if leak else _INK,
                mew=1.4,
                ls="none",
            )
        axes.set_yticks(range(len(rows)), [f"{item.code} {item.claim}" for item, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.04)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_xlabel("right guesses in 100")
        axes.grid(axis="x", color=_LINE, lw=0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return _svg("coins", draw, 0.9 + 0.34 * len(rows), "Share of right guesses of each attack, against luck")


def roc(roc: Roc, number: int = 0) -> str:
    """Draw the ROC on two log axes with its band; what is left of the floor lies in grey."""
    from matplotlib.ticker import NullFormatter, NullLocator

    points = _thinned(len(roc.fpr))
    least = min(roc.floor, 0.01)
    bottom, left = least / 2, least / 3

    def draw(axes: Axes) -> None:
        fpr = [max(roc.fpr[i], left) for i in points]
        low, high, tpr = ([max(curve[i], bottom) for i in points] for curve in (roc.low, roc.high, roc.tpr))
        axes.fill_between(fpr, low, high, step="post", color=_BAND, lw=0)
        axes.plot([bottom, 1], [bottom, 1], color=_MUTED, lw=1, ls=(0, (4, 3)))
        axes.step(fpr, tpr, where="post", color=_ACCENT, lw=1.8)
        axes.axvspan(left, roc.floor, color=_LINE, lw=0, zorder=3)
        axes.text(
            (left * roc.floor) ** 0.5,
            0.75,
            "too few\nothers",
            ha="center",
            va="top",
            color=_INK,
            fontsize=_POINT - 1.5,
            zorder=4,
        )
        axes.text(0.35, 0.25, "luck", color=_MUTED, ha="left", va="top", fontsize=_POINT - 1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, 1)
        axes.set_ylim(bottom, 1.15)
        for axis, end in ((axes.xaxis, left), (axes.yaxis, bottom)):
            ticks = [tick for tick in (0.0001, 0.001, 0.01, 0.1, 1.0) if tick >= end]
            axis.set_ticks(ticks, [_percent(tick) for tick in ticks])
            axis.set_minor_locator(NullLocator())
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("others wrongly accused")
        axes.set_ylabel("training records recognised")
        axes.grid(color=_LINE, lw=0.6)

    return _svg(f"roc{number}", draw, 3.5, f"ROC of {roc.code}: training records recognised against false alarms")


def curve(curve: Curve, budget: float | None = None, number: int = 0) -> str:
    """Draw right guesses against queries a secret, over the band that luck gives, with the budget drawn in."""
    from scipy.stats import binom, binomtest

    chance = 1 / curve.k
    low, high = (binom.ppf(share, curve.coins, chance) / curve.coins for share in (0.005, 0.995))
    spread = [binomtest(right, curve.coins).proportion_ci(0.95, method="exact") for right in curve.right]
    rates = [right / curve.coins for right in curve.right]

    def draw(axes: Axes) -> None:
        axes.axhspan(low, high, color=_BAND, lw=0)
        axes.axhline(chance, color=_MUTED, lw=1, ls=(0, (4, 3)))
        axes.vlines(curve.queries, [end.low for end in spread], [end.high for end in spread], color=_INK, lw=1.2)
        axes.plot(curve.queries, rates, color=_ACCENT, lw=1.8, marker="o", ms=4.5)
        ends = [*curve.queries, *([budget] if budget else [])]
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(min(ends) * 0.8, max(ends) * 1.5 + 1)
        if budget:
            axes.axvline(budget, color=_INK, lw=1.2, ls=(0, (2, 2)))
            axes.annotate(
                "budget",
                (budget, 1.1),
                (-5, 0),
                textcoords="offset points",
                color=_INK,
                ha="right",
                va="center",
                fontsize=_POINT - 1,
            )
        ticks = _round_ticks(min(ends), max(ends))
        axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(-0.02, 1.17)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_xlabel("queries a secret")
        axes.set_ylabel("right guesses in 100")
        axes.grid(axis="y", color=_LINE, lw=0.6)

    return _svg(f"curve{number}", draw, 3.0, f"Right guesses of {curve.code} against queries a secret")


def promise(epsilon: float, tests: Sequence[Tested]) -> str:
    """Draw a promise of differential privacy: claimed at most, measured at least, and what could have been seen."""
    rows = [test for test in tests if not test.why_not]
    end = 1.12 * max([epsilon, 0.1, *(test.reach for test in rows)])

    def draw(axes: Axes) -> None:
        for row, test in enumerate(rows):
            axes.barh(row, test.reach, height=0.62, color=_BAND, lw=0)
            axes.barh(row, test.bound, height=0.3, color=_ACCENT if test.refuted else _INK, lw=0)
        axes.axvline(epsilon, color=_INK, lw=1.4, ls=(0, (4, 3)))
        axes.annotate(
            f"claimed: at most {epsilon:g}",
            (epsilon, -0.75),
            (4 if epsilon < end / 2 else -4, 0),
            textcoords="offset points",
            ha="left" if epsilon < end / 2 else "right",
            va="center",
            color=_INK,
            fontsize=_POINT - 1,
        )
        axes.set_yticks(range(len(rows)), [f"{test.code}, {test.unit}" for test in rows])
        axes.set_ylim(len(rows) - 0.4, -1.1)
        axes.set_xlim(0, end)
        axes.set_xlabel("epsilon\nnarrow: measured at least; pale: could have been seen")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return _svg("promise", draw, 1.45 + 0.5 * len(rows), "Claimed, measured and visible epsilon")


def standalone(svg: str) -> str:
    """Return a chart with colours of its own, light and dark, for a file outside a page."""
    light = "--ink:#1d1a17;--muted:#625a52;--line:#e4ded6;--band:#ddd5ca;--accent:#a32e0a"
    dark = "--ink:#f2eae2;--muted:#b5a79a;--line:#382e28;--band:#463a32;--accent:#ff9a57"
    style = f"<style>svg{{{light};font-family:sans-serif}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", rf"\g<1>{style}", svg, count=1)


def _svg(name: str, draw: Callable[[Axes], None], height: float, title: str) -> str:
    """Draw on a fresh figure and return its SVG element, ids made unique by `name`."""
    from html import escape

    import matplotlib
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "font.size": _POINT,
        "font.family": "DejaVu Sans",
        "axes.edgecolor": _MUTED,
        "axes.labelcolor": _MUTED,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": _INK,
        "xtick.color": _MUTED,
        "ytick.color": _MUTED,
        "xtick.labelcolor": _INK,
        "ytick.labelcolor": _INK,
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(buffer.getvalue(), name, escape(title))


def _for_page(svg: str, name: str, title: str) -> str:
    """Cut the SVG down to what a page needs: no prologue, no fixed size, no foreign font, no colour of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', svg)
    viewbox = box.group(1) if box else "0 0 1 1"
    svg = re.sub(
        r"<svg[^>]*>",
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{viewbox}" '
        f'role="img" aria-label="{title}">',
        svg,
        count=1,
    )
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]+;? ?", "", svg)
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, variable)
    svg = re.sub(r"(\d+\.\d\d)\d+", r"\1", svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _thinned(points: int) -> list[int]:
    """Return positions to draw: the first ones, where log axes show every step, then ever fewer, and the last."""
    later = (round(40 * (points / 40) ** (step / 80)) for step in range(81)) if points > 40 else ()
    return sorted({*range(min(points, 40)), *(place for place in later if place < points), points - 1})


def _round_ticks(low: float, high: float) -> list[float]:
    ticks = [0.0, *(step * 10.0**power for power in range(7) for step in (1, 3))]
    inside = [tick for tick in ticks if low * 0.8 <= tick <= high * 1.5 + 1]
    return inside if len(inside) <= 6 else inside[:: -(-len(inside) // 6)]


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
