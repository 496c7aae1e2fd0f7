"""Which released row is about which named person?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack
from safelight.attacks.linkage.records import shared
from safelight.controls.coins.named import NamedCoins
from safelight.data.records import Records, Splits
from safelight.evidence import Links, Role, WhoIsWho
from safelight.measures.named import equality_credit
from safelight.measures.uniqueness import combinations
from safelight.recipes.release import column_shuffled
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import MOST_RECORDS, nameless
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Session
from safelight.targets.base import Target
from safelight.targets.released import Released
from safelight.verdict.named import of_names
from safelight.verdict.outcome import Outcome

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhoIsWho


@dataclass(frozen=True)
class Named:
    """People whose row is in the release, and others, in one shuffled group, each linked with the likeliest row.

    The control is the same attack on the same release with every column shuffled.
    """

    name: str = "named"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "link", "record" if splits.members.person is None else "person"

    def question(self, session: Session, claim: Claim) -> WhoIsWho:
        return WhoIsWho(nameless(_asked(session)[0]))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session, release = given.session, _release(target)
        people, member = _asked(session)
        person = _names(people)
        owner = np.full(len(release.table), "") if release.owners is None else release.owners.astype(str)
        columns = shared(getattr(claim.attack, "columns", ""), list(people.x.columns), list(release.table.columns))
        mine, rows = combinations(columns, people.x, release.table)
        shuffled = None
        if role is Role.TARGET:
            order = session.rng("shuffled", claim.attack.code)
            control = replace(target, model=replace(release, table=column_shuffled(release.table, order)))
            links = _links(given, claim, control, Role.CONTROL)
            shuffled = float((owner[links.row] == person)[member].mean())
        return of_names(
            _links(given, claim, target, role), owner, person, member,
            equality_credit(mine, person, rows, owner), shuffled, given.level,
            session.rng("measure", claim.name, role),
        )  # fmt: skip

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        return []


def _links(given: Given, claim: Claim, target: Target, role: Role) -> Links:
    answer = given.answer(claim, target, role)
    assert isinstance(answer, Links)
    return answer


def _release(target: Target) -> Released:
    assert isinstance(target.model, Released)
    return target.model


def _names(people: Records) -> Array:
    return (people.ids if people.person is None else people.person).astype(str)


def _asked(session: Session) -> tuple[Records, Array]:
    """Return people whose row is in the release and others in one shuffled group, and which they are (n,)."""
    owners = _release(session.target).owners
    assert owners is not None
    everyone = session.splits.everyone
    inside = (np.arange(len(everyone)) < len(session.splits.members)) & np.isin(_names(everyone), owners.astype(str))
    rng = session.rng("asked", WhoIsWho.__name__)
    chosen = [rng.permutation(np.flatnonzero(side))[:MOST_RECORDS] for side in (inside, ~inside)]
    order = rng.permutation(np.concatenate(chosen))
    return everyone.take(order), inside[order]


def fits(session: Session) -> bool:
    return isinstance(session.target.model, Released)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    owners, members = _release(session.target).owners, session.splits.members
    missing = ""
    if owners is None:
        missing = "nobody says whose row each released one is; name the column that does as owner"
    elif not np.isin(_names(members), owners.astype(str)).any():
        missing = f"no member has one of the names in the owner column, such as {owners[0]!r}"
    return [Claim(attack, Named(), why_not=missing), *coin_claims(session, attack, [NamedCoins()])]
