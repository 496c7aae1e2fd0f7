"""What does each class look like inside the model: recognisable people, or the very records?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack
from safelight.controls.coins.base import Coins
from safelight.controls.coins.classes import ClassCoins
from safelight.controls.coins.halves import HalfCoins
from safelight.controls.matcher import class_likeness, likeness, own_rank
from safelight.data.records import Splits, concat
from safelight.evidence import Reconstructions, Role, WhatIsInside
from safelight.report.model import AtRisk
from safelight.runner.kinds.asked import ranked
from safelight.runner.kinds.base import Claim, coin_claims
from safelight.runner.session import Profile, Session
from safelight.targets.base import Images, Target
from safelight.verdict.outcome import Outcome, of_recognition, of_records

if TYPE_CHECKING:
    from safelight.runner.given import Given

QUESTION = WhatIsInside


@dataclass(frozen=True)
class Recognised:
    """Are the rebuilt pictures most like the right people, more than those of a control model?"""

    name: str = "recognised"

    def about(self, splits: Splits) -> tuple[str, str]:
        return ("person", "person") if splits.class_is_person else ("class", "class")

    def question(self, session: Session, claim: Claim) -> WhatIsInside:
        return WhatIsInside(np.unique(session.splits.members.y))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session, pictures = given.session, pictures_of(given, claim, target, role)
        rng = session.rng("measure", claim.name, role)
        others: list[tuple[str, Array]] = []
        public = session.splits.public
        if public is not None and len(public) >= len(pictures.classes):
            sample = public.x[rng.choice(len(public), len(pictures.classes), replace=False)]
            start = np.repeat(public.x.mean(axis=0)[None], len(pictures.classes), axis=0)
            others = [("start", photo_likeness(session, start, pictures.classes)),
                      ("prior", photo_likeness(session, sample, pictures.classes))]  # fmt: skip
        control = None
        if role is Role.TARGET:
            other = control_pictures(given, claim)
            control = None if other is None else photo_likeness(session, other.images, pictures.classes)
        similarity = photo_likeness(session, pictures.images, pictures.classes)
        return of_recognition(similarity, control, others, given.level, session.policy, rng)

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        target = given.session.target
        pictures, names = pictures_of(given, claim, target, Role.TARGET), target.model.classes
        similarity = photo_likeness(given.session, pictures.images, pictures.classes)
        everyone = [
            ranked(names[int(c)], claim, row[i], np.delete(row, i))
            for i, (c, row) in enumerate(zip(pictures.classes, similarity))
        ]
        return sorted(everyone, key=lambda item: (item.p, -item.score))[:most]


@dataclass(frozen=True)
class RecordsInPictures:
    """Are the rebuilt pictures more like members than like held-out records of the same class?"""

    name: str = "record"

    def about(self, splits: Splits) -> tuple[str, str]:
        return "record", "record"

    def question(self, session: Session, claim: Claim) -> WhatIsInside:
        return WhatIsInside(np.unique(session.splits.members.y))

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        session, splits = given.session, given.session.splits
        assert splits.nonmembers is not None
        pictures = pictures_of(given, claim, target, role)
        records = concat([splits.members, splits.nonmembers])
        member = np.arange(len(records)) < len(splits.members)
        known = np.isin(records.y, pictures.classes)
        records, member = records.take(known), member[known]
        means = np.stack([records.x[records.y == c].mean(axis=0) for c in pictures.classes])
        place = {int(c): row for row, c in enumerate(pictures.classes)}
        each = likeness(pictures.images, records.x, means.mean(axis=0))
        similarity = each[[place[int(c)] for c in records.y], np.arange(len(records))]
        rng = session.rng("measure", claim.name, role)
        return of_records(similarity, records.y, member, given.level, session.policy, rng)

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        return []


def pictures_of(given: Given, claim: Claim, target: Target, role: Role) -> Reconstructions:
    """Return the rebuilt pictures, in the order of the classes asked for."""
    answer = given.answer(claim, target, role)
    assert isinstance(answer, Reconstructions)
    order = np.argsort(answer.classes)
    return Reconstructions(answer.images[order], answer.classes[order], answer.confidence[order])


def control_pictures(given: Given, claim: Claim) -> Reconstructions | None:
    """Return what the same attack rebuilds from a model that never saw the classes, or None without one."""
    control = given.model(Role.CONTROL, claim.attack)
    return None if control is None else pictures_of(given, claim, control, Role.CONTROL)


def photo_likeness(session: Session, images: Array, classes: Array) -> Array:
    """Return the likeness (c, c) of pictures to photos of each class: held-out ones where every class has some."""
    members, held_out = session.splits.members, session.splits.nonmembers
    photos = held_out if held_out is not None and np.isin(classes, held_out.y).all() else members
    return class_likeness(images, photos.x, photos.y, classes)


def recognised(given: Given, claim: Claim) -> Array:
    """Return which pictures (c,) of the given model are most like the right class."""
    pictures = pictures_of(given, claim, given.session.target, Role.TARGET)
    return own_rank(photo_likeness(given.session, pictures.images, pictures.classes)) == 1


def fits(session: Session) -> bool:
    return isinstance(session.target.model.inputs, Images) and bool(session.target.model.classes)


def claims(session: Session, attack: Attack, why_not: str) -> list[Claim]:
    few = len(np.unique(session.splits.members.y)) < 4
    coins: list[Coins] = [ClassCoins(session.splits.class_is_person)]
    if session.profile is Profile.DEEP:
        coins.append(HalfCoins())
    return [
        Claim(attack, Recognised(), why_not="a ranking needs at least 4 classes" if few else ""),
        Claim(attack, RecordsInPictures(), why_not=why_not),
        *coin_claims(session, attack, coins),
    ]
