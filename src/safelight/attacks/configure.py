"""An attack with settings of the owner's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from safelight import settings
from safelight.attacks.base import Attack, attack_of


def configured(code: str, values: Mapping[str, Any]) -> Attack:
    """Return the attack `code` with these settings.

    Raises:
        InputError: no such attack or setting, or a value of another type or out of bounds.
    """
    return cast("Attack", settings.filled(code, attack_of(code), values))


def check(attack: Attack) -> None:
    """Raise InputError where a number is not what the docstring allows."""
    settings.check(attack.code, attack)
