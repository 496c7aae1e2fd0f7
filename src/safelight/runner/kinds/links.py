"""Do the two halves of a record that two sources hold belong together, says the release?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack
from safelight.controls.coins.releases import LinkCoins, in_two_halves
from safelight.data.records import Splits, concat
from safelight.evidence import Role, WhichBelongTogether
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import asked, members_ranked, nameless, scores_of
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Session
from safelight.targets.base import Images, Target
from safelight.verdict.linkage import of_links
from safelight.verdict.outcome import Outcome

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhichBelongTogether


@dataclass(frozen=True)
class Links:
    """Pairs that belong together, of members and of nonmembers, and as many that do not, in one shuffled group."""

    name: str = "links"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "link", "record"

    def question(self, session: Session, claim: Claim) -> WhichBelongTogether:
        pairs = in_two_halves(
            nameless(asked(session, claim)[0]), getattr(claim.attack, "left", ""), session.rng("halves")
        )
        right, order = _right(session, claim)
        left = concat([pairs.left, pairs.left])
        return WhichBelongTogether(nameless(left.take(order)), nameless(pairs.right.take(right[order])))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session = given.session
        scores = self._in_order(given, claim, target, role)
        records, member = asked(session, claim)
        linked = scores >= 0
        return of_links(
            linked[: len(member)], member, linked[len(member) :], given.level, session.policy,
            session.rng("measure", claim.name, role), records.person,
        )  # fmt: skip

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        scores = self._in_order(given, claim, given.session.target, Role.TARGET)
        return members_ranked(given.session, claim, scores[: len(scores) // 2], most)

    def _in_order(self, given: Given, claim: Claim, target: Target, role: Role) -> Array:
        """Return the scores (2n,) of pairs that belong together, then of those that do not."""
        order = _right(given.session, claim)[1]
        scores = np.empty(len(order))
        scores[order] = scores_of(given.answer(claim, target, role))[:, 0]
        return scores


def _right(session: Session, claim: Claim) -> tuple[Array, Array]:
    """Return which record's right half each of 2n left ones is shown with, and the order that pairs are shown in."""
    count = len(asked(session, claim)[1])
    rng = session.rng("pairs", claim.attack.answers.__name__)
    around = rng.permutation(count)
    others = np.empty(count, dtype=int)
    others[around] = np.roll(around, 1)
    return np.concatenate([np.arange(count), others]), rng.permutation(2 * count)


def fits(session: Session) -> bool:
    return not isinstance(session.target.model.inputs, Images)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    coins = LinkCoins(left=getattr(attack, "left", ""))
    found = [Claim(attack, Links(), why_not=why_not), *coin_claims(session, attack, [coins])]
    few = "" if len(session.splits.members.x.columns) > 1 else "linking needs two columns, and there is one"
    return [replace(claim, why_not=claim.why_not or few) for claim in found]
