"""Which value did each record hold in a sensitive column?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from safelight.attacks.attributes.imputation import impute
from safelight.attacks.base import Attack
from safelight.controls.coins.attributes import AttributeCoins, blanked, values_of
from safelight.data.records import Splits
from safelight.evidence import Role, WhichValue
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import asked, nameless, scores_of
from safelight.runner.kinds.base import Claim, affordable, coin_claims, resamples
from safelight.runner.session import Session
from safelight.targets.base import Images, Target
from safelight.verdict.outcome import Outcome, of_attribute

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhichValue


@dataclass(frozen=True)
class Attribute:
    """The secrets of members against those of nonmembers, and against what imputation finds without the model."""

    name: str = "attribute"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "attribute", "attribute"

    def question(self, session: Session, claim: Claim) -> WhichValue:
        values = values_of(session.splits.members, claim.column)
        return WhichValue(blanked(nameless(asked(session, claim)[0]), claim.column, values), claim.column, values)

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session = given.session
        belief = scores_of(given.answer(claim, target, role))
        records, member = asked(session, claim)
        question = self.question(session, claim)
        secret = np.searchsorted(question.values, records.x[claim.column].to_numpy())
        public = session.splits.public
        assert public is not None
        imputed = given.once(
            f"imputed {claim.column}", lambda: impute(public, question, session.rng("impute", claim.column)).values
        )
        rng = session.rng("measure", claim.name, role)
        outcome, rows = of_attribute(belief, imputed, secret, member, given.level, session.policy, rng, resamples(role))
        if role is Role.TARGET:
            given.rows[claim.name] = rows
        return outcome

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        return []


def fits(session: Session) -> bool:
    return not isinstance(session.target.model.inputs, Images)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    found: list[Claim] = []
    for column in session.splits.sensitive:
        missing = why_not or ("imputation needs public records" if session.splits.public is None else "")
        found.append(Claim(attack, Attribute(), column=column, why_not=missing))
        values = int(session.splits.members.x[column].nunique())
        most = affordable(session, 300 * values) // values
        found += coin_claims(session, attack, [AttributeCoins(column, most=most)], column)
    return found
