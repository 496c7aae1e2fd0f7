"""Can the model be copied by asking it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from safelight.attacks.base import Attack
from safelight.attacks.stealing.unasked import unasked
from safelight.data.records import Records, Splits
from safelight.evidence import Role, WhatWouldItAnswer
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import MOST_RECORDS, nameless, scores_of
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Session
from safelight.targets.base import Target
from safelight.threat import Access
from safelight.verdict.fidelity import of_fidelity
from safelight.verdict.outcome import Outcome

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhatWouldItAnswer


@dataclass(frozen=True)
class Stolen:
    """A copy against one that was made without asking, on records that neither has asked about."""

    idle: ClassVar[frozenset[Role]] = frozenset({Role.NEVER_SAW})
    """A model can be copied whatever it was trained on: one that never saw the records is no null."""

    name: str = "stolen"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "model", "model"

    def question(self, session: Session, claim: Claim) -> WhatWouldItAnswer:
        records = _held_out(session)
        rows = session.rng("asked", WhatWouldItAnswer.__name__).permutation(len(records))[:MOST_RECORDS]
        return WhatWouldItAnswer(nameless(records.take(rows)).relabelled(np.zeros(len(rows), dtype=np.int64)))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session, model = given.session, target.model
        evidence = given.evidence(claim, target, role)
        records = self.question(session, claim).records
        alone = given.once(
            f"unasked {len(model.classes)}",
            lambda: unasked(session.splits.public, model.inputs, records, len(model.classes), session.rng("unasked")),
        )
        shown = claim.attack.needs >= Access.SCORES
        return of_fidelity(
            scores_of(evidence.answer), alone.values, model.labels(records.x),
            model.scores(records.x) if shown else None, evidence.curve, evidence.origin.queries, given.level,
            session.policy,
        )  # fmt: skip

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        return []


def _held_out(session: Session) -> Records:
    """Return the records that copies are compared on: nonmembers, or members where there are none."""
    held_out = session.splits.nonmembers
    return session.splits.members if held_out is None or not len(held_out) else held_out


def fits(session: Session) -> bool:
    return bool(session.target.model.classes)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    return [Claim(attack, Stolen())]
