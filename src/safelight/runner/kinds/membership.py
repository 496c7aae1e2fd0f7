"""Was this record, or this person, in the training data?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safelight.attacks.base import Attack
from safelight.controls.coins.records import RecordCoins
from safelight.data.records import Splits
from safelight.evidence import Role, WhoWasIn
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import asked, members_ranked, nameless, scores_of
from safelight.runner.kinds.base import Claim, affordable, coin_claims, resamples
from safelight.runner.session import Session
from safelight.targets.base import Target
from safelight.verdict.outcome import Outcome, of_groups, of_membership, of_tail

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhoWasIn


@dataclass(frozen=True)
class Membership:
    """Members and nonmembers of the given split, told apart by one score each."""

    name: str = "membership"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "membership", "record"

    def question(self, session: Session, claim: Claim) -> WhoWasIn:
        return WhoWasIn(nameless(asked(session, claim)[0]))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        scores = scores_of(given.answer(claim, target, role))[:, 0]
        records, member = asked(given.session, claim)
        rng = given.session.rng("measure", claim.name, role)
        person = records.person if records.is_table else None
        if role is Role.TARGET and records.group is not None:
            given.rows[claim.name] = of_groups(scores, member, records.group, given.level, rng, person)
        judge = of_tail if getattr(claim.attack, "tail", False) else of_membership
        return judge(scores, member, given.level, rng, person, resamples(role))

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        scores = scores_of(given.answer(claim, given.session.target, Role.TARGET))[:, 0]
        return members_ranked(given.session, claim, scores, most, given.chances.get(claim.attack.code))


def fits(session: Session) -> bool:
    return True


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    coins = RecordCoins(people_repeat(session.splits), most=affordable(session, 600))
    return [Claim(attack, Membership(), why_not=why_not), *coin_claims(session, attack, [coins])]


def people_repeat(splits: Splits) -> bool:
    person = splits.members.person
    return person is not None and splits.members.is_table and len(np.unique(person)) < len(person)
