"""Was some picture near this one in the training data? By coins: a given split names the pictures themselves."""

from __future__ import annotations

from safelight.attacks.base import Attack
from safelight.controls.coins.ranges import RangeCoins
from safelight.data.shifts import shifts
from safelight.evidence import WhichRanges
from safelight.runner.kinds.base import Claim, affordable, coin_claims
from safelight.runner.session import Session
from safelight.targets.base import Images

QUESTION = WhichRanges

VIEWS = len(shifts(RangeCoins.reach))
"""Queries a record: one for each picture of its range."""


def fits(session: Session) -> bool:
    return isinstance(session.target.model.inputs, Images)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    return coin_claims(session, attack, [RangeCoins(most=affordable(session, 600 * VIEWS) // VIEWS)])
