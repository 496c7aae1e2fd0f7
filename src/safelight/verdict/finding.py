"""What the audit says: one finding a claim, one verdict an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from safelight.evidence import Role
from safelight.measures.base import Measurement
from safelight.threat import ThreatModel


class Status(StrEnum):
    """How one claim ended. Never "safe"."""

    LEAK = "leak"
    UNCLEAR = "unclear"
    NONE = "no leak found"
    NOT_RUN = "not run"


class Verdict(StrEnum):
    """How the audit ended: the first that holds, from top to bottom."""

    BROKEN = "audit broken"
    LEAK = "leak"
    INCOMPLETE = "incomplete"
    UNCLEAR = "unclear"
    NONE = "no leak found"


@dataclass(frozen=True)
class Finding:
    """One claim and how it ended.

    Attributes:
        code: of the attack.
        title: of the attack.
        target: name of the audited model.
        status: how it ended.
        reason: one sentence, computed from the numbers.
        claim: membership, record, person, class, attribute, property, link, extraction, model or prior.
        about: "model" (the one given) or "recipe" (models trained anew the same way).
        unit: record, person, class or attribute.
        adjacency: add-remove, replace or none.
        runs: trainings that were pooled; 0 for a claim on the given model.
        threat: the attacker, at the least access that the attack needs.
        measured: the numbers.
        p: chance of a result at least as strong if nothing leaks, before correction; None if not run.
        source: paper and section of the attack.
        seed: of the audit.
        evidence: sha256 of each piece of evidence, by role.
        who: who could do it.
        remedy: what lowers it.
        accepted: the owner's reason for accepting it, or "".
    """

    code: str
    title: str
    target: str
    status: Status
    reason: str
    claim: str
    about: str
    unit: str
    adjacency: str
    runs: int
    threat: ThreatModel
    measured: tuple[Measurement, ...] = ()
    p: float | None = None
    source: str = ""
    seed: int = 0
    evidence: Mapping[Role, str] = field(default_factory=dict)
    who: str = ""
    remedy: str = ""
    accepted: str = ""

    def number(self, name: str) -> Measurement | None:
        """Return the measurement called `name`, or None."""
        return next((item for item in self.measured if item.name == name), None)
