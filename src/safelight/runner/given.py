"""Claims about the very model that was given: the attack is asked about shuffled records, the split is joined after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from safelight.attacks.base import Attack, settings
from safelight.data.records import Records
from safelight.evidence import Answer, Evidence, Origin, Role, Scores
from safelight.measures.base import Measurement
from safelight.measures.calibration import Calibration
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Session, known_classes
from safelight.targets.base import Images, Target
from safelight.verdict.outcome import Outcome


@dataclass
class Given:
    """Asks each attack once a model and reads all its claims from the same answer.

    Attributes:
        level: of one claim.
        chances: what the scores of an attack, by its code, say of the chance of membership.
        hashes: of the evidence of each claim and role.
        rows: numbers side by side for a claim: of members, nonmembers and imputation for an attribute; of each declared
            group for membership.
    """

    session: Session
    level: float
    chances: Mapping[str, Calibration] = field(default_factory=dict)
    hashes: dict[tuple[str, Role], str] = field(default_factory=dict)
    rows: dict[str, dict[str, tuple[Measurement, ...]]] = field(default_factory=dict)
    _models: dict[tuple[Role, str], Target | None] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)

    def model(self, role: Role, attack: Attack) -> Target | None:
        """Return the model that plays `role` for this attack, trained once; None where it cannot be had."""
        key = (role, attack.code if role is Role.PLANTED else attack.answers.__name__)
        if key not in self._models:
            self._models[key] = self._make(role, attack)
        return self._models[key]

    def outcome(self, claim: Claim, role: Role = Role.TARGET) -> Outcome | None:
        """Measure a claim on the model that plays `role`; None where there is no such model or it says nothing."""
        assert claim.kind is not None
        if role in getattr(claim.kind, "idle", ()):
            return None
        target = self.model(role, claim.attack)
        return None if target is None else claim.kind.outcome(self, claim, target, role)

    def answer(self, claim: Claim, target: Target, role: Role) -> Answer:
        """Return the attack's answer about this model."""
        return self.evidence(claim, target, role).answer

    def evidence(self, claim: Claim, target: Target, role: Role) -> Evidence:
        """Return the attack's answer about this model with where it comes from: asked once, then kept."""
        session, attack = self.session, claim.attack
        name = f"{attack.code}-{claim.column + '-' if claim.column else ''}given-{role.value.replace(' ', '-')}"
        kept = session.store.get(name)
        if kept is None:
            assert claim.kind is not None
            threat = session.threat_of(attack)
            view = target.view(threat, session.side(session.planted(attack) if role is Role.PLANTED else None))
            seed = int(session.rng("given", attack.code, claim.column, role).integers(2**31))
            answer = attack.run(view, claim.kind.question(session, claim), np.random.default_rng(seed))
            origin = Origin(attack.code, settings(attack), threat, role, target.name, seed, view.spent, True)
            earlier = {spent: each.values for spent, each in view.kept.items() if isinstance(each, Scores)}
            kept = Evidence(origin, answer, curve=earlier)
        self.hashes[claim.name, role] = session.store.put(name, kept)
        return kept

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` gives, made once for all claims of this audit that ask for `name`."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

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
