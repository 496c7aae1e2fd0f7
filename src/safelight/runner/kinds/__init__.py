"""What an audit may find: one file a class of question, found by being there.

A file of this folder that names a `QUESTION` offers
- `QUESTION`: the class of question, see `safelight.evidence`;
- `fits(session)`: whether it can be put to this kind of target at all;
- `claims(session, attack, why_not)`: what is claimed with it; `why_not` says why nothing can be claimed from the given
  split of members and nonmembers, or "".
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from safelight.attacks.base import Attack
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Session

__all__ = ["claims_of", "fits"]


@cache
def _by_question() -> dict[type, ModuleType]:
    files = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return {file.QUESTION: file for file in files if hasattr(file, "QUESTION")}


def fits(session: Session, attack: type[Attack]) -> bool:
    """Return whether the attack's question can be put to this kind of target at all."""
    kind = _by_question().get(attack.answers)
    return kind is not None and bool(kind.fits(session))


def claims_of(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    """Return what is claimed with this attack, tested or not."""
    found: list[Claim] = _by_question()[attack.answers].claims(session, attack, why_not)
    return found
