"""How a leak is lowered: in training, on outputs, by compression, by who computes. One file, one defence.

Every defence is found by its class: `safelight.defences.DpSgd(epsilon=8)(recipe)`.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    from safelight.defences.base import all_defences

    for defence in all_defences().values():
        if defence.__name__ == name:
            return defence
    raise AttributeError(f"module 'safelight.defences' has no attribute {name!r}; `safelight defences` lists them")
