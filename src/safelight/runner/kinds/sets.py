"""Was a whole set of records in the training data? By coins: a given split says nothing about sets."""

from __future__ import annotations

from safelight.attacks.base import Attack
from safelight.controls.coins.sets import SetCoins
from safelight.evidence import WhichSets
from safelight.runner.kinds.base import Claim, affordable, coin_claims
from safelight.runner.session import Session

QUESTION = WhichSets


def fits(session: Session) -> bool:
    return True


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    return coin_claims(session, attack, [SetCoins(most=affordable(session, 600))])
