"""Which conditions hold for exactly one of the records behind the release?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack
from safelight.controls.coins.releases import SinglingCoins
from safelight.data.predicates import holding, of_form
from safelight.data.records import Splits
from safelight.errors import InputError
from safelight.evidence import Predicates, Role, WhatSinglesOut
from safelight.report.model import AtRisk
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Session
from safelight.targets.base import Images, Target
from safelight.verdict.linkage import of_singling_out
from safelight.verdict.outcome import Outcome

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhatSinglesOut


@dataclass(frozen=True)
class SingledOut:
    """Conditions of one form, tried on members and on nonmembers.

    Attributes:
        several: whether a guess has several conditions.
    """

    several: bool

    @property
    def name(self) -> str:
        return "singled-out-by-several" if self.several else "singled-out-by-one"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "link", "record"

    def question(self, session: Session, claim: Claim) -> WhatSinglesOut:
        return WhatSinglesOut(tuple(session.splits.members.x.columns))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session = given.session
        holds, blind = self._holds(given, claim, target, role)
        member = np.arange(holds.shape[1]) < len(session.splits.members)
        rng = session.rng("measure", claim.name, role)
        name = self.name.replace("-", "_")
        return of_singling_out(name, holds, member, blind, given.level, session.policy, rng)

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        return []

    def _holds(self, given: Given, claim: Claim, target: Target, role: Role) -> tuple[Array, Array]:
        """Return for which of all records, members first, each condition holds, and each blind one."""
        answer = given.answer(claim, target, role)
        assert isinstance(answer, Predicates)
        texts = of_form(answer.texts, self.several)
        if not len(texts):
            form = "several conditions hold" if self.several else "one condition holds"
            raise InputError(f"In the release no guess was found whose {form} for exactly one record.")
        everyone = given.session.splits.everyone.x
        return holding(texts, everyone), holding(of_form(answer.blind, self.several), everyone)


def fits(session: Session) -> bool:
    return not isinstance(session.target.model.inputs, Images)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    person = session.splits.members.person
    repeat = "" if person is None or len(np.unique(person)) == len(person) else "some people own several records"
    missing = why_not or repeat
    forms = [False, True] if len(session.splits.members.x.columns) > 1 else [False]
    given = [Claim(attack, SingledOut(several), why_not=missing) for several in forms]
    return [*given, *coin_claims(session, attack, [SinglingCoins()])]
