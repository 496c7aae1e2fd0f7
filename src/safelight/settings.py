"""Settings of the owner's: read from plain words, and held to what a docstring's "Attributes:" allow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_type_hints

from safelight.docstrings import meanings
from safelight.errors import InputError, did_you_mean


def filled(name: str, kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Return `kind` with these settings; choices are words, such as "max margin" for `Loss.MAX_MARGIN`.

    Args:
        name: of the thing, for errors.
        kind: a dataclass.
        values: settings by name.

    Raises:
        InputError: no such setting, or a value of another type or out of bounds.
    """
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    for setting in values:
        if setting not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{name} has no setting {setting!r}; {has}.{did_you_mean(setting, known)}")
    thing = kind(**{key: _typed(f"{name}, {key}", value, hints[key]) for key, value in values.items()})
    check(name, thing)
    return thing


def check(name: str, thing: Any) -> None:
    """Raise InputError where a number is not what the docstring says: "(>= 1)", "(> 0)", "in (0, 1]"."""
    for setting, meaning in meanings(type(thing)).items():
        value = getattr(thing, setting)
        if isinstance(value, (int, float)):
            allowed = _forbids(value, meaning)
            if allowed:
                raise InputError(f"{name}, {setting} is {value}; it must be {allowed}.")


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
    if hint in (float, float | None) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint == tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
            raise InputError(f'{where} is {value!r}; it must be a list of words, such as ["age", "town"].')
        return tuple(value)
    if not isinstance(value, hint) or (hint in (int, int | None) and isinstance(value, bool)):
        raise InputError(f"{where} is {value!r}; it must be {getattr(hint, '__name__', hint)}.")
    return value
