"""What share of the training records held a value? By coins alone: the given model has one share, and it is known."""

from __future__ import annotations

from dataclasses import replace

from safelight.attacks.base import Attack
from safelight.controls.coins.attributes import values_of
from safelight.controls.coins.properties import PropertyCoins
from safelight.data.records import Splits
from safelight.data.shares import most_with_shares
from safelight.evidence import WhichShare
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Session
from safelight.targets.base import Images

QUESTION = WhichShare


def fits(session: Session) -> bool:
    return not isinstance(session.target.model.inputs, Images)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    low, high = (getattr(attack, name, usual) for name, usual in (("low", 0.3), ("high", 0.5)))
    found: list[Claim] = []
    for column in session.splits.sensitive:
        coins = PropertyCoins(column, None, low, high)
        coins = replace(coins, value=_value(session.splits, coins))
        found += coin_claims(session, attack, [coins], column)
    return found


def _value(splits: Splits, coins: PropertyCoins) -> object:
    """Return the value that leaves the most records to train on: of two mostly the rarer one."""
    values = values_of(splits.members, coins.column).tolist()
    return max(values, key=lambda value: most_with_shares(splits.everyone, coins.column, value, coins.shares))
