"""Which declared groups are more exposed than the rest: said where the data can tell, and only there."""

from __future__ import annotations

from collections.abc import Mapping

from safelight.measures.base import Measurement
from safelight.report import plain
from safelight.report.model import Report
from safelight.verdict.finding import Verdict

Rows = Mapping[str, tuple[Measurement, ...]]


def exposed(rows: Rows) -> list[str]:
    """Return the groups that the attack tells beyond luck, and more than all others together, most exposed first."""
    found = []
    for name, measured in rows.items():
        own, beyond = measured[0], _beyond(measured)
        surely = beyond is not None and beyond.value is not None and (beyond.low or 0.0) > 0
        if surely and (own.low or 0.0) > (own.control or 0.0):
            found.append((-(beyond.value or 0.0) if beyond else 0.0, name))
    return [name for _, name in sorted(found)]


def sentence(code: str, rows: Rows) -> str:
    """Say which groups of one attack are more exposed than the rest; "" where the rows are no groups.

    Args:
        code: of the attack, and by what its rows are told apart, as in `Report.rows`.
        rows: the name of each group, with its AUC or share of right guesses first.
    """
    beyond = {name: found for name, measured in rows.items() if (found := _beyond(measured)) is not None}
    if not beyond:
        return ""
    noun = "kinds" if "by kind" in code else "declared groups"
    told = exposed(rows)
    small = [name for name, item in beyond.items() if item.value is None]
    text = f"The data cannot tell any of the {len(rows)} {noun} from the rest."
    if told:
        each = "; ".join(f"{name} ({_more(rows[name][0], beyond[name])})" for name in told)
        text = f"More exposed than the rest: {each}. The intervals hold for all {len(rows)} {noun} together."
    if small:
        text += f" Too few records for a number: {', '.join(small)}."
    return text


def lines(report: Report) -> list[str]:
    """Say it of every attack that the report has groups for, each after its code; nothing of a broken audit."""
    if report.verdict is Verdict.BROKEN:
        return []
    said = [(code, sentence(code, rows)) for code, rows in report.rows.items()]
    return [f"{code}: {text}" for code, text in said if text]


def _beyond(measured: tuple[Measurement, ...]) -> Measurement | None:
    return next((item for item in measured if item.name == "beyond_rest"), None)


def _more(own: Measurement, beyond: Measurement) -> str:
    """Say how much more often the attack is right in a group."""
    what = "pairs of a member and another" if own.name == "auc" else "guesses"
    more, *ends = (_hundredths(end or 0.0) for end in (beyond.value, beyond.low, beyond.high))
    right = f"it is right in {plain.in_100(own.value)} {what}, {more} more than among all others"
    return f"{right}, very likely between {' and '.join(ends)} more"


def _hundredths(share: float) -> str:
    return f"{100 * share:.1f}" if share < 0.01 else f"{100 * share:.0f}"
