"""What can be wrong with the documentation: broken links, and words that the program does not know."""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from cyclopts import App

from safelight.attacks.base import all_attacks, sees
from safelight.attacks.configure import configured
from safelight.cli import COMMANDS, home
from safelight.cli.config import TABLES, AcceptedEntry, parse_config
from safelight.errors import InputError, did_you_mean
from safelight.guard.identity.trust import PARTS
from safelight.guard.playbooks import parse_playbooks
from safelight.guard.policy import TABLES as GUARD_TABLES
from safelight.guard.policy import Key, parse_policy
from safelight.report.document import schema
from safelight.report.vocabulary import term

SMALLEST: dict[str, Any] = {"target": {"model": "model.skops"}, "data": {"members": "train.csv"}}
"""What a fragment of a safelight.toml is completed with before it is parsed."""
SMALLEST_GUARD: dict[str, Any] = {"url": "http://127.0.0.1:5000", "protocol": "mlflow"}
"""What [upstream] of a fragment of a guard.toml is completed with."""
GUARD_ONLY = {*GUARD_TABLES, "clients", "route", "alerts"} - {*TABLES}


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    content: str
    line: int


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(block[1], block[2], text[: block.start()].count("\n") + 1) for block in found]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def pages(root: Path) -> dict[str, str]:
    """Return every page that people read, by its path from the root."""
    named = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    found = [*named, *sorted((root / "docs").rglob("*.md")), root / "docs" / "llms.txt"]
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in found if path.is_file()}


def troubles(root: Path) -> list[str]:
    """Return one sentence for each thing that is wrong."""
    every = pages(root)
    found = [trouble for name, text in every.items() for trouble in (*_links(root, name, text), *_words(name, text))]
    found += [trouble for name, text in every.items() for trouble in _settings_files(name, text)]
    found += [*settings_page(every.get("docs/settings.md", "")), *format_page(every.get("docs/report-format.md", ""))]
    found += forgotten(every)
    listed = every.get("docs/llms.txt", "")
    hand_written = [name for name in every if re.fullmatch(r"docs/[\w-]+\.md", name)]
    return found + [f"docs/llms.txt does not list {name}." for name in hand_written if Path(name).name not in listed]


# Links ---------------------------------------------------------------------------------------------------------------
def _links(root: Path, name: str, text: str) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (root / name).parent / path if path else root / name
        if not target.exists():
            yield f"{name} links to {link}, which does not exist."
        elif anchor and anchor not in anchors(target.read_text("utf-8")):
            yield f"{name} links to {link}, and that page has no such heading."


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Words ---------------------------------------------------------------------------------------------------------------
def _words(name: str, text: str) -> Iterator[str]:
    known = [*all_attacks(), *re.findall(r'code: ClassVar\[str\] = "(\w+)"', text)]
    for code in sorted(set(re.findall(r"\b[VAMDLPKS]\d{3}\b", text))):
        if code not in known:
            yield f"{name} names the attack {code}, which does not exist.{did_you_mean(code, known)}"
    for command in commands(text):
        yield from _flags(name, command)
    for variable in sorted(set(re.findall(r"\bSAFELIGHT_([A-Z]+_[A-Z_]+)\b", text)) - {"TABLE_KEY"}):
        table, _, key = variable.lower().partition("_")
        yield from _key(name, table, key)
    for span in re.findall(r"`([^`\n]+)`", prose(text)):
        yield from _span(name, span)


def commands(text: str) -> Iterator[str]:
    """Yield every command line of a page that calls safelight: in fenced blocks of a shell, and in YAML."""
    for block in blocks(text):
        if block.language in ("sh", "console", "yaml"):
            for line in block.content.splitlines():
                bare = re.sub(r"^\s*(\$ |- run: |- |run: )?(SAFELIGHT_\w+=('[^']*'|\S*) )*", "", line)
                if bare.startswith("safelight "):
                    yield re.sub(r"\s+#.*$|\s+(\|\||&&|\||>>?)\s.*$", "", bare)


def _flags(name: str, command: str) -> Iterator[str]:
    words = command.split()
    verb = words[1] if len(words) > 1 else ""
    if verb not in (*COMMANDS, "--help", "--version"):
        yield f"{name} runs `{command}`, and there is no such command.{did_you_mean(verb, COMMANDS)}"
    elif verb in COMMANDS:
        if subcommands(verb) and (len(words) < 3 or words[2] not in (*subcommands(verb), "--help")):
            yield f"{name} runs `{command}`, and {verb} has {', '.join(subcommands(verb))}."
        for flag in re.findall(r"(?<!\S)--[\w-]+", command):
            if flag not in flags(verb):
                yield f"{name} runs `{command}`, and {verb} has no flag {flag}.{did_you_mean(flag, flags(verb))}"


@cache
def flags(command: str) -> frozenset[str]:
    """Return the flags of one command, or of all that stand below it."""
    found = {"--help"}
    for function in list(subcommands(command).values()) or [_function(command)]:
        for item, parameter in inspect.signature(function).parameters.items():
            named = re.findall(r"[\"'](--[\w-]+)[\"']", str(parameter.annotation))  # annotations are text
            found |= set(named) or {f"--{item.replace('_', '-')}"}
    return frozenset(found)


@cache
def subcommands(command: str) -> Mapping[str, Any]:
    """Return the functions below a command that is a group of commands, by name; none for others."""
    group = _function(command)
    if not isinstance(group, App):
        return {}
    return {name: group[name].default_command for name in group if not name.startswith("-")}


def _function(command: str) -> Any:
    module, _, name = home(command).partition(":")
    return getattr(import_module(module), name)


def _span(name: str, span: str) -> Iterator[str]:
    """Check one piece of code font: a flag, a key of safelight.toml, or a name of the program."""
    everywhere = frozenset().union({"--version"}, *(flags(command) for command in COMMANDS))
    if span.startswith("safelight ") and span.split()[1].isalpha():
        yield from _flags(name, span)
    elif (flag := re.match(r"--[\w-]+", span)) and flag[0] not in everywhere:
        yield f"{name} names the flag {flag[0]}, which does not exist.{did_you_mean(flag[0], everywhere)}"
    elif table := re.match(r"\[{1,2}([a-z]\w*)\]{1,2}(?: (\w+))?", span):
        yield from _key(name, table[1], table[2])
    elif (key := re.match(r"(\w+) = ", span)) and key[1] not in {
        item for table in [*keys().values(), *guard_keys().values()] for item in table
    }:
        yield f"{name} names the key {key[1]}, which safelight.toml does not have."
    elif re.fullmatch(r"\w+(\.\w+)*(\(\))?", span) and ("_" in span or span.startswith(("sl.", "safelight."))):
        parts = [part for part in re.findall(r"[A-Za-z]\w+", span) if part != "sl"]
        if not span.isupper() and Path(span).suffix not in _FILES:
            yield from (
                f"{name} names {span}, and the program has no {part}." for part in parts if part not in identifiers()
            )


_FILES = (".json", ".toml", ".py", ".html", ".md", ".npz", ".csv", ".joblib", ".skops", ".xml", ".sarif")


def _key(name: str, table: str, key: str | None) -> Iterator[str]:
    if table in guard_keys() and (key is None or key in guard_keys()[table]):
        return
    if table not in keys():
        yield f"{name} names the table [{table}], which safelight.toml does not have.{did_you_mean(table, keys())}"
    elif key and key not in keys()[table]:
        yield f"{name} names [{table}] {key}, which safelight.toml does not have.{did_you_mean(key, keys()[table])}"


@cache
def keys() -> Mapping[str, Mapping[str, str]]:
    """Return the tables of safelight.toml, and in each the keys with their defaults as they are written there."""
    tables = {**TABLES, "accepted": AcceptedEntry}
    return {name: {item.name: _default(item) for item in fields(table)} for name, table in tables.items()}


@cache
def guard_keys() -> Mapping[str, frozenset[str]]:
    """Return the tables of guard.toml, and in each the keys."""
    known = {name: frozenset(item.name for item in fields(table)) for name, table in GUARD_TABLES.items()}
    clients = frozenset({"header", *PARTS, *(item.name for item in fields(Key))})
    return {**known, "clients": clients, "route": frozenset(), "alerts": frozenset()}


def _default(item: Any) -> str:
    value = item.default if item.default_factory is MISSING else item.default_factory()
    if value is MISSING:
        return "required"
    if isinstance(value, list):
        return "[" + ", ".join(f'"{word}"' for word in value) + "]"
    if value is None:
        return "none"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@cache
def identifiers() -> frozenset[str]:
    """Return every name that occurs in the program."""
    source = Path(inspect.getfile(parse_config)).parent.parent
    files = [*source.rglob("*.py"), *source.rglob("*.json")]
    return frozenset(word for path in files for word in re.findall(r"[A-Za-z]\w+", path.read_text("utf-8")))


def forgotten(every: Mapping[str, str]) -> list[str]:
    """Say which attacks are missing where all of them are named: in the table of attackers, and among the changes."""
    table = dict(re.findall(r"^\|.*\| `(\w+)` \| (.*) \|$", every.get("docs/threat-models.md", ""), re.MULTILINE))
    ours = [attack for attack in all_attacks().values() if attack.__module__.startswith("safelight.")]
    found = [
        f"docs/threat-models.md does not name {attack.code} where the attacker has `{sees(attack)}`."
        for attack in ours
        if attack.code not in table.get(sees(attack), "")
    ]
    changes = every.get("CHANGELOG.md", "")
    return found + [f"CHANGELOG.md does not name {attack.code}." for attack in ours if attack.code not in changes]


# Tables --------------------------------------------------------------------------------------------------------------
def _settings_files(name: str, text: str) -> Iterator[str]:
    """Parse every safelight.toml, or piece of one, and every guard.toml that a page shows."""
    for block in blocks(text):
        if block.language != "toml":
            continue
        where = f"{name}, line {block.line}"
        try:
            document = tomllib.loads(block.content)
            document = document.get("tool", {}).get("safelight", document)
            if "playbook" in document:
                parse_playbooks(document, where)
            elif document.keys() & GUARD_ONLY:
                for alert in document.get("alerts", ()):
                    os.environ.setdefault(alert.get("secret_env", "SAFELIGHT_DOCS"), "a secret of the docs")
                upstream = {**SMALLEST_GUARD, **document.get("upstream", {})}
                parse_policy({**document, "upstream": upstream}, Path(), where)
            elif "project" not in document:
                parsed = parse_config({**SMALLEST, **document}, Path(), where)
                for code, values in parsed.attacks.items():
                    configured(code, values)
        except (tomllib.TOMLDecodeError, InputError) as error:
            yield f"{where}: {error}"


def settings_page(text: str) -> list[str]:
    """Say which tables of docs/settings.md are not what the program takes: keys with defaults, flags."""
    found = []
    for table, known in keys().items():
        heading = f"### `[[{table}]]`" if table == "accepted" else f"### `[{table}]`"
        found += _differences(f"docs/settings.md: the table under {heading}", dict(rows(text, heading)), known)
    shown = dict.fromkeys((flag for flag, _ in rows(text, "## Flags of audit")), "")
    known = dict.fromkeys(flags("audit") - {"--help", "--model"}, "")
    return found + _differences("docs/settings.md: the table of flags", shown, known)


def format_page(text: str) -> list[str]:
    """Say which tables of docs/report-format.md are not what report.json holds: fields, and names of measurements."""
    found, parts = [], schema()
    for heading, properties in (
        ("## report.json", parts["properties"]),
        ("### A finding", parts["$defs"]["finding"]["properties"]),
    ):
        shown = dict.fromkeys((field for field, _ in rows(text, heading)), "")
        found += _differences(f"docs/report-format.md: {heading}", shown, dict.fromkeys(properties, ""))
    return found + [
        f"docs/report-format.md: ### Measurements has {name}, which is in no vocabulary."
        for name, _ in rows(text, "### Measurements")
        if not term(name).meaning
    ]


def _differences(where: str, shown: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    found = [f"{where} lacks {name}." for name in sorted(set(known) - set(shown))]
    found += [f"{where} has {name}, which does not exist." for name in sorted(set(shown) - set(known))]
    return found + [
        f"{where} gives {name} the default {shown[name]}; it is {known[name]}."
        for name in sorted(set(known) & set(shown))
        if known[name] != shown[name]
    ]


def rows(text: str, heading: str) -> list[tuple[str, str]]:
    """Return the first two cells of each row of the table that follows a heading, without code font."""
    section = re.split(r"^#{1,3} ", text.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]
    return [(row[0], row[1]) for row in cells]
