"""Were these canaries, made to be memorised, in the training data? By coins alone: no given model has them."""

from __future__ import annotations

from safelight.attacks.base import Attack
from safelight.controls.coins.canaries import CanaryCoins
from safelight.evidence import WhichCanaries
from safelight.runner.kinds.base import Claim, affordable, coin_claims
from safelight.runner.session import Session

QUESTION = WhichCanaries


def fits(session: Session) -> bool:
    return True


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    return coin_claims(session, attack, [CanaryCoins(most=affordable(session, 400))])
