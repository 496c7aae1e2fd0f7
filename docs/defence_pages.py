"""One page a defence, made from its docstring, its settings, and what was measured."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pages import linked, plain, safe, sentence

from safelight.defences.base import Defence, all_defences, room
from safelight.docstrings import meanings, paragraph

ROOMS = {
    "training": ("In training", "what is learnt, and from what"),
    "outputs": ("On outputs", "what an answer still holds"),
    "compression": ("Compression", "smaller models, and what they still tell"),
    "federated": ("Federated", "who sees which update"),
    "encrypted": ("Encrypted and multi-party", "who sees inputs and weights"),
}
HEADINGS = ("What it does:", "Evidence for:", "Evidence against:", "Cost:")
NOTE = "<!-- Written by docs/build.py from the defence's docstring and benchmarks/defences.json; edit those. -->\n"
MEASURED = Path(__file__).resolve().parent.parent / "benchmarks" / "defences.json"
CLAIMS = {
    "person": "which of two people a class is",
    "attribute": "a respondent's secret",
    "membership": "whether a record was trained on",
}


def defence_pages() -> dict[str, str]:
    """Return the pages by file name: one a defence of this package, and index.md."""
    found = {name: kind for name, kind in all_defences().items() if kind.__module__.startswith("safelight.")}
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.is_file() else []
    pages = {f"{name}.md": _page(name, kind, measured) for name, kind in found.items()}
    return {"index.md": _index(found), **pages}


def _index(defences: dict[str, type[Defence]]) -> str:
    lines = [NOTE, "# Defences", ""]
    lines += [
        "Every defence that can be tried, measured and attacked again. Only differential privacy gives a guarantee; of",
        "all others we know no more than what was measured. [What does not work](../what-does-not-work.md) says why",
        "some are believed in.",
        "",
    ]
    for name, (title, purpose) in ROOMS.items():
        here = {key: kind for key, kind in defences.items() if room(kind) == name}
        if here:
            lines += [f"## {title}: {purpose}", "", "| name | defence | source |", "|---|---|---|"]
            lines += [f"| [{key}]({key}.md) | {kind.title} | {linked(kind.source)} |" for key, kind in here.items()]
            lines.append("")
    lines += [
        "The same list in the terminal:",
        "",
        "```sh",
        "safelight defences",
        "safelight explain dp-sgd",
        "```",
        "",
    ]
    return "\n".join(lines)


def _page(name: str, kind: type[Defence], measured: list[dict[str, Any]]) -> str:
    first, *paragraphs = (inspect.getdoc(kind) or "").partition("\n\nAttributes:")[0].split("\n\n")
    lines = [NOTE, f"# {kind.title}", "", safe(first.replace("\n", " ")), ""]
    for heading in HEADINGS:
        lines += [f"**{heading.removesuffix(':')}.** {sentence(paragraph(kind, heading))}", ""]
    lines += [f"Source: {linked(kind.source)}", ""]
    rest = [text for text in paragraphs if not text.startswith(HEADINGS)]
    if rest:
        lines += ["## How it works", ""]
        for text in rest:
            lines += [safe(text if text.startswith("- ") else " ".join(text.split())), ""]
    lines += _measured([row for row in measured if row["defence"] == name])
    settings = [(item, meanings(kind).get(item.name, "")) for item in fields(kind)]  # type: ignore[arg-type]
    if settings:
        lines += ["## Settings", "", "| setting | value | meaning |", "|---|---|---|"]
        lines += [
            f"| `{item.name}` | `{plain(item.default)}` | {safe(meaning).replace('|', '&#124;')} |"
            for item, meaning in settings
        ]
        lines.append("")
    lines += [
        "## Try it",
        "",
        "```sh",
        f"safelight tradeoff --try {name}",
        "```",
        "",
        "```python",
        "import safelight as sl",
    ]
    lines += ["", f"defence = sl.defences.{kind.__name__}()  # defence(recipe) is the recipe with it", "```", ""]
    return "\n".join(lines) + "\n[All defences](index.md)\n"


def _measured(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of what `benchmarks/bench_defences.py` measured, or nothing."""
    if not rows:
        return []
    lines = [
        "## What we measured",
        "",
        "Right guesses of the best attack, with 95 % intervals, and the difference to the undefended model on the same",
        "coins. A difference whose interval holds 0 is none that was seen.",
        "",
        "| model | settings | accuracy (before) | attack on | right guesses | difference | training |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        change = "" if row["change"] is None else "{:+.0f} ({:+.0f} to {:+.0f}) points".format(*row["change"])
        lines.append(
            f"| {row['target']} | {row['settings'] or 'defaults'} | {row['accuracy']:.1f} % ({row['before']:.1f} %) "
            f"| {CLAIMS.get(row['claim'], row['claim'])}: {row['attack']} | {row['right']} of {row['guesses']} "
            f"({row['low']:.0f} to {row['high']:.0f} %) | {change} | {row['training']:.1f} x |"
        )
    return [*lines, ""]
