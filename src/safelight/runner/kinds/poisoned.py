"""Was this record trained on, beside mislabelled copies of it? By coins alone: nobody poisoned the given model."""

from __future__ import annotations

from safelight.attacks.base import Attack
from safelight.controls.coins.poisoned import PoisonedCoins
from safelight.evidence import WhoWasInPoisoned
from safelight.runner.kinds.base import Claim, affordable, coin_claims
from safelight.runner.kinds.membership import people_repeat
from safelight.runner.session import Session

QUESTION = WhoWasInPoisoned


def fits(session: Session) -> bool:
    """A wrong label is another class: there are none in regression."""
    return len(session.target.model.classes) > 1


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    copies = getattr(attack, "copies", 4)
    coins = PoisonedCoins(people_repeat(session.splits), most=affordable(session, 600), copies=copies)
    return coin_claims(session, attack, [coins])
