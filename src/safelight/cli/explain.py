"""Explain one attack from its own docstring."""

from __future__ import annotations

import inspect
from dataclasses import fields


def explain(code: str) -> int:
    """Explain one attack: what it shows, who could do it, how to lower it, its settings and source.

    Args:
        code: such as V001; `safelight attacks` lists them.
    """
    from safelight.attacks.base import attack_of, sees

    attack = attack_of(code.upper())
    knows = ", ".join(sorted(knowledge.value for knowledge in attack.knows)) or "nothing beforehand"
    print(f"{attack.code}  {attack.title}\n")
    print(inspect.getdoc(attack))
    print(f"\nNeeds     {sees(attack)}; knows {knows}")
    settings = ", ".join(f"{item.name} = {item.default!r}" for item in fields(attack))  # type: ignore[arg-type]
    print(f"Settings  {settings or 'none'}")
    print(f"Source    {attack.source}")
    return 0
