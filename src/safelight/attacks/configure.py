"""An attack with settings of the owner's: read from plain words, and held to what its docstring allows."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

from safelight.attacks.base import Attack, attack_of
from safelight.errors import InputError, did_you_mean


def configured(code: str, values: Mapping[str, Any]) -> Attack:
    """Return the attack `code` with these settings; choices are words, such as "max margin" for `Loss.MAX_MARGIN`.

    Raises:
        InputError: no such attack or setting, or a value of another type or out of bounds.
    """
    kind = attack_of(code)
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{code} has no setting {name!r}; {has}.{did_you_mean(name, known)}")
    attack = kind(**{name: _typed(f"{code}, {name}", value, hints[name]) for name, value in values.items()})
    check(attack)
    return attack


def check(attack: Attack) -> None:
    """Raise InputError where a number is not what the docstring says: "(>= 1)", "(> 0)", "in (0, 1]"."""
    for name, meaning in meanings(type(attack)).items():
        value = getattr(attack, name)
        if isinstance(value, (int, float)):
            allowed = _forbids(value, meaning)
            if allowed:
                raise InputError(f"{attack.code}, {name} is {value}; it must be {allowed}.")


def meanings(attack: type[Attack]) -> dict[str, str]:
    """Return what the docstring says of each setting, by name."""
    block = (inspect.getdoc(attack) or "").partition("\n\nAttributes:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in block.splitlines():
        start = re.match(r" {4}([a-z_]+(?:, [a-z_]+)*): (.*)", line)
        if start:
            names = start[1].split(", ")
            found |= dict.fromkeys(names, start[2])
        elif line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


_NUMBER = r"-?\d+(?:\.\d+)?"
_LEAST = re.compile(rf"\((>=|>) ({_NUMBER})\)")
_RANGE = re.compile(rf"in ([\[(])({_NUMBER}), ({_NUMBER})([\])])")


def _forbids(value: float, meaning: str) -> str:
    """Return what a number must be, in words, where it is not; else an empty string."""
    if not math.isfinite(value):
        return "a finite number"
    least, within = _LEAST.search(meaning), _RANGE.search(meaning)
    if least:
        bound = float(least[2])
        fits = value >= bound if least[1] == ">=" else value > bound
        return "" if fits else f"{'at least' if least[1] == '>=' else 'above'} {least[2]}"
    if within:
        low, high = float(within[2]), float(within[3])
        fits = low < value < high or (within[1] == "[" and value == low) or (within[4] == "]" and value == high)
        return "" if fits else within[0]
    return ""


def _typed(where: str, value: Any, hint: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Enum):
        if isinstance(value, hint):
            return value
        words = {str(item.value): item for item in hint} | {item.name.lower(): item for item in hint}
        if value not in words:
            allowed = [str(item.value) for item in hint]
            raise InputError(
                f"{where} is {value!r}; use one of {', '.join(map(repr, allowed))}.{did_you_mean(str(value), allowed)}"
            )
        return words[value]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InputError(f"{where} is {value!r}; it must be {hint.__name__}.")
    return value
