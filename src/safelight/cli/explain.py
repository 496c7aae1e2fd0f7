"""Explain one attack or defence from its own docstring."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any


def explain(name: str) -> int:
    """Explain one attack (what it shows, who could do it, how to lower it) or one defence (what it does, at what cost).

    Args:
        name: a code such as V001, or a name such as dp-sgd; `safelight attacks` and `safelight defences` list them.
    """
    from safelight.attacks.base import attack_of, sees
    from safelight.defences.base import all_defences

    defence = all_defences().get(name.lower())
    if defence is not None:
        _print(name.lower(), defence, "")
        return 0
    attack = attack_of(name.upper())
    knows = ", ".join(sorted(knowledge.value for knowledge in attack.knows)) or "nothing beforehand"
    _print(attack.code, attack, f"Needs     {sees(attack)}; knows {knows}\n")
    return 0


def _print(name: str, kind: Any, needs: str) -> None:
    settings = ", ".join(f"{item.name} = {item.default!r}" for item in fields(kind))
    print(f"{name}  {kind.title}\n\n{inspect.getdoc(kind)}\n")
    print(f"{needs}Settings  {settings or 'none'}\nSource    {kind.source}")
