"""One page an attack, made from its docstring, its settings and what it needs."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from enum import Enum
from typing import Any

from safelight.attacks.base import Attack, all_attacks, sees
from safelight.docstrings import meanings, paragraph

FAMILIES = {
    "V": ("Inversion", "rebuild a picture of what the model takes for a class"),
    "A": ("Attributes", "guess a secret value of a record, or rebuild it whole"),
    "M": ("Membership", "tell whether a record was in the training data"),
    "K": ("Poisoning", "put records into the training data, so that the model tells more of the rest"),
    "P": ("Properties", "tell what the training records are like as a whole"),
    "L": ("Linkage", "use a released table against the people in it"),
    "S": ("Stealing", "copy the model through its answers"),
    "D": ("Disclosure", "read training records off the model file"),
}
HEADINGS = ("What it shows:", "Who could do it:", "How to lower it:")
NOTE = "<!-- Written by docs/build.py from the attack's docstring; edit that. -->\n"


def attack_pages() -> dict[str, str]:
    """Return the pages by file name: one an attack of this package, and index.md."""
    attacks = [attack for attack in all_attacks().values() if attack.__module__.startswith("safelight.")]
    return {"index.md": _index(attacks), **{f"{attack.code}.md": _page(attack) for attack in attacks}}


def _index(attacks: list[type[Attack]]) -> str:
    lines = [NOTE, "# Attacks", ""]
    lines += [
        "Every attack that an audit can run. *Needs* is the least that one answer of the model must show to the",
        "attacker; *holds* is what the attacker has beforehand. [Threat models](../threat-models.md) explains both.",
        "",
    ]
    for letter, (title, purpose) in FAMILIES.items():
        lines += [f"## {title}: {purpose}", "", "| code | attack | needs | holds | source |", "|---|---|---|---|---|"]
        lines += [
            f"| [{attack.code}]({attack.code}.md) | {attack.title} | {sees(attack)} | {_holds(attack)} "
            f"| {linked(attack.source)} |"
            for attack in attacks
            if attack.code.startswith(letter)
        ]
        lines.append("")
    lines += ["The same list in the terminal:", "", "```sh", "safelight attacks", "safelight explain M001", "```", ""]
    return "\n".join(lines)


def _page(attack: type[Attack]) -> str:
    lines = [NOTE, f"# {attack.code} {attack.title}", "", _first(attack), ""]
    for heading in HEADINGS:
        lines += [f"**{heading.removesuffix(':')}.** {sentence(paragraph(attack, heading))}", ""]
    lines += [
        "| | |",
        "|---|---|",
        f"| question | {(attack.answers.__doc__ or '').partition('?')[0]}? |",
        f"| needs | {sees(attack)} |",
        f"| holds beforehand | {_holds(attack)} |",
        f"| runs | {'with `--deep`, or when named with `--only`' if attack.deep else 'by default'} |",
        f"| source | {linked(attack.source)} |",
        "",
    ]
    rest = _rest(attack)
    lines += ["## How it works", "", *rest] if rest else []
    settings = _settings(attack)
    if settings:
        lines += ["## Settings", ""]
        lines += [
            f"An audit uses these values and writes them into its report; `[attacks.{attack.code}]` changes them.",
            "",
        ]
        lines += ["| setting | value | meaning |", "|---|---|---|", *settings, ""]
    lines += ["## Run it alone", "", "```sh", f"safelight audit --only {attack.code}", "```", ""]
    return "\n".join(lines) + "\n[All attacks](index.md)\n"


def linked(source: str) -> str:
    """Return the source with its arXiv numbers and DOIs as links."""
    source = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", source)
    return re.sub(r"doi:(10\.[^\s,;]+)", r"[doi:\1](https://doi.org/\1)", source)


def _holds(attack: type[Attack]) -> str:
    words = {"public": "public records", "recipe": "the recipe"}
    return " and ".join(words[item.value] for item in sorted(attack.knows, key=lambda item: item.value)) or "nothing"


def sentence(text: str) -> str:
    return safe(text[:1].upper() + text[1:])


def _first(attack: type[Attack]) -> str:
    return safe((inspect.getdoc(attack) or "").split("\n\n")[0].replace("\n", " "))


def _rest(attack: type[Attack]) -> list[str]:
    """Return the docstring's paragraphs that are neither its first line, a heading, nor its settings."""
    paragraphs = (inspect.getdoc(attack) or "").partition("\n\nAttributes:")[0].split("\n\n")[1:]
    kept = [text for text in paragraphs if not text.startswith(HEADINGS)]
    lines: list[str] = []
    for text in kept:
        joined = text if text.startswith("- ") else " ".join(text.split())
        lines += [safe(joined), ""]
    return lines


def _settings(attack: type[Attack]) -> list[str]:
    explained = meanings(attack)
    return [
        f"| `{item.name}` | `{plain(item.default)}` | {safe(explained.get(item.name, '')).replace('|', '&#124;')} |"
        for item in fields(attack)  # type: ignore[arg-type]
    ]


def plain(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def safe(text: str) -> str:
    """Escape what Markdown would read as markup: stars between words, and less-than signs."""
    return text.replace("<", "&lt;").replace("*", r"\*")
