"""How a model is attacked: a question in, an answer out. One file, one attack; it is found by being there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import fields
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, cast

from numpy.random import Generator

from safelight.errors import InputError, did_you_mean
from safelight.targets.base import View
from safelight.threat import Access, Knows, Observes


class Attack(Protocol):
    """One attack. Its settings are dataclass fields; its docstring is its page in the docs and the report.

    The docstring's first line is the title sentence; the paragraphs "What it shows:", "Who could do it:" and
    "How to lower it:" are read by the report.

    Attributes:
        code: V inversion, A attribute, M membership, K poisoning, P property, L released tables; three digits.
        title: two to five words for tables.
        needs: the least access it works with.
        knows: what it must hold beforehand.
        answers: the class of question it takes.
        source: paper and section.
        deep: whether only the deep profile runs it.
    """

    code: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Access]
    knows: ClassVar[frozenset[Knows]]
    answers: ClassVar[type]
    source: ClassVar[str]
    deep: ClassVar[bool]

    def run(self, view: View, question: Any, rng: Generator) -> Any:
        """Answer the question through the door; raises AccessDenied or BudgetSpent as the door does."""
        ...


@cache
def all_attacks() -> dict[str, type[Attack]]:
    """Return every attack by code: those in this folder and those of the entry-point group `safelight.attacks`."""
    import safelight.attacks as room

    found: dict[str, type[Attack]] = {}
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if member.__module__ == module.name and "code" in vars(member):
                found[vars(member)["code"]] = cast("type[Attack]", member)
    for entry in entry_points(group="safelight.attacks"):
        attack = entry.load()
        found[attack.code] = attack
    return dict(sorted(found.items()))


def attack_of(code: str) -> type[Attack]:
    """Return the attack called `code`; raises InputError with the closest known code."""
    known = all_attacks()
    if code not in known:
        raise InputError(f"There is no attack {code!r}; `safelight attacks` lists them.{did_you_mean(code, known)}")
    return known[code]


def observes(attack: Attack | type[Attack]) -> Observes:
    """Return the door that an attack stands at: queries, unless it says otherwise by a ClassVar `observes`."""
    return getattr(attack, "observes", Observes.QUERIES)


def sees(attack: Attack | type[Attack]) -> str:
    """Return the least that an attack must see, as a word: a level of access, or "release" for a released table."""
    return "release" if observes(attack) is Observes.RELEASE else attack.needs.word


def settings(attack: Attack) -> dict[str, Any]:
    """Return the settings of an attack as plain values, by name."""
    return {field.name: getattr(attack, field.name) for field in fields(attack)}  # type: ignore[arg-type]
