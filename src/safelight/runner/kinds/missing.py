"""Which is the one training record that the attacker does not know? By coins alone: one model hides one record."""

from __future__ import annotations

from safelight.attacks.base import Attack
from safelight.controls.coins.missing import MissingCoins
from safelight.evidence import WhichIsMissing
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Session

QUESTION = WhichIsMissing


def fits(session: Session) -> bool:
    return True


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    return coin_claims(session, attack, [MissingCoins()])
