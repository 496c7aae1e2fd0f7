"""Claims about the very model that was given: the attack is asked about shuffled records, the split is joined after."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.attributes.imputation import impute
from safelight.attacks.base import Attack, settings
from safelight.controls.coins.attributes import blanked, values_of
from safelight.controls.matcher import class_likeness, likeness, own_rank
from safelight.data.records import Records, concat
from safelight.evidence import (
    Answer,
    Evidence,
    Origin,
    Question,
    Reconstructions,
    Role,
    Scores,
    WhatIsInside,
    WhichValue,
    WhoWasIn,
)
from safelight.measures.base import Measurement
from safelight.measures.permutation import rank_p
from safelight.report.model import AtRisk
from safelight.runner.plan import Claim, Kind
from safelight.runner.session import Session, known_classes
from safelight.targets.base import Images, Target
from safelight.verdict.outcome import Outcome, of_attribute, of_groups, of_membership, of_recognition, of_records

MOST_RECORDS = 2000


@dataclass
class Given:
    """Asks each attack once a model and reads all its claims from the same answer.

    Attributes:
        hashes: of the evidence of each claim and role.
        rows: numbers side by side for a claim: of members, nonmembers and imputation for an attribute; of each declared
            group for membership.
    """

    session: Session
    level: float
    hashes: dict[tuple[str, Role], str] = field(default_factory=dict)
    rows: dict[str, dict[str, tuple[Measurement, ...]]] = field(default_factory=dict)
    _models: dict[tuple[Role, str], Target | None] = field(default_factory=dict)
    _imputed: dict[str, Array] = field(default_factory=dict)

    def model(self, role: Role, attack: Attack) -> Target | None:
        """Return the model that plays `role` for this attack, trained once; None where it cannot be had."""
        key = (role, attack.code if role is Role.PLANTED else attack.answers.__name__)
        if key not in self._models:
            self._models[key] = self._make(role, attack)
        return self._models[key]

    def outcome(self, claim: Claim, role: Role = Role.TARGET) -> Outcome | None:
        """Measure a claim on the model that plays `role`; None where there is no such model."""
        target = self.model(role, claim.attack)
        if target is None:
            return None
        measure = {
            Kind.MEMBERSHIP: self._membership,
            Kind.ATTRIBUTE: self._attribute,
            Kind.RECORD: self._records,
            Kind.RECOGNISED: self._recognised,
        }[claim.kind]
        return measure(claim, target, role)

    def evidence(self, claim: Claim, target: Target, role: Role) -> Evidence:
        """Return the attack's answer about this model: asked once, then kept."""
        session, attack = self.session, claim.attack
        name = f"{attack.code}-{claim.column + '-' if claim.column else ''}given-{role.value.replace(' ', '-')}"
        kept = session.store.get(name)
        if kept is None:
            threat = session.threat_of(attack)
            view = target.view(threat, session.side(session.planted(attack) if role is Role.PLANTED else None))
            seed = int(session.rng("given", attack.code, claim.column, role).integers(2**31))
            answer: Answer = attack.run(view, self.question(claim), np.random.default_rng(seed))
            origin = Origin(attack.code, settings(attack), threat, role, target.name, seed, view.spent, True)
            kept = Evidence(origin, answer)
        self.hashes[claim.name, role] = session.store.put(name, kept)
        return kept

    def question(self, claim: Claim) -> Question:
        if claim.attack.answers is WhatIsInside:
            return WhatIsInside(np.unique(self.session.splits.members.y))
        records, _ = self.asked(claim)
        # Names could betray the group that a record comes from.
        nameless = replace(records, ids=np.arange(len(records)), person=None, group=None)
        if claim.attack.answers is WhoWasIn:
            return WhoWasIn(nameless)
        values = values_of(self.session.splits.members, claim.column)
        return WhichValue(blanked(nameless, claim.column, values), claim.column, values)

    def asked(self, claim: Claim) -> tuple[Records, Array]:
        """Return members and nonmembers in one shuffled group, and who is a member (n,)."""
        splits = self.session.splits
        assert splits.nonmembers is not None
        rng = self.session.rng("asked", claim.attack.answers.__name__, claim.column)
        each = 1 if not claim.column else len(values_of(splits.members, claim.column))
        limit = self.session.threat.queries
        most = MOST_RECORDS if limit is None else min(MOST_RECORDS, limit // (2 * each))
        groups = [
            group.take(np.sort(rng.permutation(len(group))[:most])) for group in (splits.members, splits.nonmembers)
        ]
        member = np.repeat([True, False], [len(group) for group in groups])
        order = rng.permutation(len(member))
        return concat(groups).take(order), member[order]

    def _membership(self, claim: Claim, target: Target, role: Role) -> Outcome:
        scores = _scores(self.evidence(claim, target, role))[:, 0]
        records, member = self.asked(claim)
        rng = self.session.rng("measure", claim.name, role)
        person = records.person if records.is_table else None
        if role is Role.TARGET and records.group is not None:
            self.rows[claim.name] = of_groups(scores, member, records.group, self.level, rng)
        return of_membership(scores, member, self.level, rng, person, _resamples(role))

    def _attribute(self, claim: Claim, target: Target, role: Role) -> Outcome:
        belief = _scores(self.evidence(claim, target, role))
        records, member = self.asked(claim)
        question = self.question(claim)
        assert isinstance(question, WhichValue)
        secret = np.searchsorted(question.values, records.x[claim.column].to_numpy())
        rng = self.session.rng("measure", claim.name, role)
        imputed = self._imputation(question)
        outcome, rows = of_attribute(
            belief, imputed, secret, member, self.level, self.session.policy, rng, _resamples(role)
        )
        if role is Role.TARGET:
            self.rows[claim.name] = rows
        return outcome

    def _imputation(self, question: WhichValue) -> Array:
        """Return what the same knowledge gives without the model, learnt once from public records."""
        public = self.session.splits.public
        assert public is not None
        if question.column not in self._imputed:
            self._imputed[question.column] = impute(
                public, question, self.session.rng("impute", question.column)
            ).values
        return self._imputed[question.column]

    def _records(self, claim: Claim, target: Target, role: Role) -> Outcome:
        splits = self.session.splits
        assert splits.nonmembers is not None
        pictures = self.pictures(claim, target, role)
        records = concat([splits.members, splits.nonmembers])
        member = np.arange(len(records)) < len(splits.members)
        known = np.isin(records.y, pictures.classes)
        records, member = records.take(known), member[known]
        means = np.stack([records.x[records.y == c].mean(axis=0) for c in pictures.classes])
        place = {int(c): row for row, c in enumerate(pictures.classes)}
        each = likeness(pictures.images, records.x, means.mean(axis=0))
        similarity = each[[place[int(c)] for c in records.y], np.arange(len(records))]
        rng = self.session.rng("measure", claim.name, role)
        return of_records(similarity, records.y, member, self.level, self.session.policy, rng)

    def _recognised(self, claim: Claim, target: Target, role: Role) -> Outcome:
        pictures = self.pictures(claim, target, role)
        rng = self.session.rng("measure", claim.name, role)
        others: list[tuple[str, Array]] = []
        public = self.session.splits.public
        if public is not None and len(public) >= len(pictures.classes):
            sample = public.x[rng.choice(len(public), len(pictures.classes), replace=False)]
            start = np.repeat(public.x.mean(axis=0)[None], len(pictures.classes), axis=0)
            others = [("start", self.similarity(start, pictures.classes)),
                      ("prior", self.similarity(sample, pictures.classes))]  # fmt: skip
        control = None
        if role is Role.TARGET:
            other = self.control_pictures(claim)
            control = None if other is None else self.similarity(other.images, pictures.classes)
        similarity = self.similarity(pictures.images, pictures.classes)
        return of_recognition(similarity, control, others, self.level, self.session.policy, rng)

    def pictures(self, claim: Claim, target: Target, role: Role) -> Reconstructions:
        """Return the rebuilt pictures, in the order of the classes asked for."""
        answer = self.evidence(claim, target, role).answer
        assert isinstance(answer, Reconstructions)
        order = np.argsort(answer.classes)
        return Reconstructions(answer.images[order], answer.classes[order], answer.confidence[order])

    def control_pictures(self, claim: Claim) -> Reconstructions | None:
        control = self.model(Role.CONTROL, claim.attack)
        return None if control is None else self.pictures(claim, control, Role.CONTROL)

    def similarity(self, images: Array, classes: Array) -> Array:
        """Return the likeness (c, c) of pictures to photos of each class: held-out ones where every class has some."""
        members, held_out = self.session.splits.members, self.session.splits.nonmembers
        photos = held_out if held_out is not None and np.isin(classes, held_out.y).all() else members
        return class_likeness(images, photos.x, photos.y, classes)

    def recognised(self, claim: Claim, target: Target) -> Array:
        pictures = self.pictures(claim, target, Role.TARGET)
        return own_rank(self.similarity(pictures.images, pictures.classes)) == 1

    def at_risk(self, claim: Claim, target: Target, most: int = 25) -> list[AtRisk]:
        """Return whom an attack points at most, by id: people by their rebuilt pictures, or else member records."""
        if claim.kind is Kind.RECOGNISED:
            pictures = self.pictures(claim, target, Role.TARGET)
            similarity, names = self.similarity(pictures.images, pictures.classes), target.model.classes
            everyone = [
                _at_risk(names[int(c)], claim, row[i], np.delete(row, i))
                for i, (c, row) in enumerate(zip(pictures.classes, similarity))
            ]
            return sorted(everyone, key=lambda item: (item.p, -item.score))[:most]
        scores = _scores(self.evidence(claim, target, Role.TARGET))[:, 0]
        records, member = self.asked(claim)
        outside = scores[~member]
        inside = np.flatnonzero(member)
        top = inside[np.argsort(-scores[inside], kind="stable")[:most]]
        return [_at_risk(str(records.ids[row]), claim, scores[row], outside) for row in top]

    def _make(self, role: Role, attack: Attack) -> Target | None:
        session = self.session
        model, members = session.target.model, session.splits.members
        seed = int(session.rng("model", role, attack.answers.__name__).integers(2**31))
        if role is Role.TARGET:
            return session.target
        if role is Role.PLANTED:
            return session.planted(attack).fit(members, seed)
        if session.recipe is None:
            return None
        if role is Role.CONTROL:
            return session.recipe.fit(self._others(seed), seed)
        public = known_classes(session.splits.public, len(model.classes)) if model.classes else session.splits.public
        if isinstance(model.inputs, Images) or public is None or len(public) < 40:
            return None
        if model.classes and len(np.unique(public.y)) < len(np.unique(members.y)):
            return None
        return session.recipe.fit(public, seed)

    def _others(self, seed: int) -> Records:
        """Return records that fill every class with somebody else: public classes where there are enough of them.

        Otherwise the members themselves, every class in another class's place.
        """
        members, public = self.session.splits.members, self.session.splits.public
        classes = np.unique(members.y)
        rng = np.random.default_rng(seed)
        pictures = public is not None and not public.is_table
        others = np.setdiff1d(public.y, classes) if public is not None and pictures else classes[:0]
        if public is not None and len(others) >= len(classes):
            chosen = rng.permutation(others)[: len(classes)]
            place = {int(old): int(new) for old, new in zip(chosen, classes)}
            picked = public.take(np.isin(public.y, chosen))
            return picked.relabelled(np.array([place[int(old)] for old in picked.y]))
        shift = np.roll(rng.permutation(classes), 1)
        order = np.roll(shift, -1)
        place = {int(old): int(new) for old, new in zip(order, shift)}
        return members.relabelled(np.array([place[int(old)] for old in members.y]))


def _at_risk(name: str, claim: Claim, score: float, decoys: Array) -> AtRisk:
    p = rank_p(np.append(decoys, score), len(decoys))
    return AtRisk(name, claim.attack.code, float(score), float((decoys >= score).mean()), p)


def _resamples(role: Role) -> int:
    """Return how many bootstrap samples are worth drawing: only the target's intervals are shown."""
    return 1000 if role is Role.TARGET else 20


def _scores(evidence: Evidence) -> Array:
    assert isinstance(evidence.answer, Scores)
    return evidence.answer.values
