"""A claim, and how one about the given model is put and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from safelight.attacks.base import Attack
from safelight.controls.coins.base import Coins
from safelight.data.records import Splits
from safelight.evidence import Question, Role
from safelight.report.model import AtRisk
from safelight.runner.session import Session
from safelight.targets.base import Target
from safelight.verdict.outcome import Outcome

if TYPE_CHECKING:
    from safelight.runner.given import Given


class Kind(Protocol):
    """How a claim about the given model is put and measured.

    A kind may name by `idle` the roles that would say nothing of its claims.

    Attributes:
        name: for evidence files.
    """

    @property
    def name(self) -> str: ...

    def about(self, splits: Splits) -> tuple[str, str]:
        """Return the claim and the unit of the finding, such as ("membership", "record")."""
        ...

    def question(self, session: Session, claim: Claim) -> Question:
        """Return what the attack is asked: the same for every model of the audit, and no secret in it."""
        ...

    def outcome(self, given: Given, claim: Claim, target: Target, role: Role) -> Outcome:
        """Measure the claim on `target`, which plays `role`; `given.answer` has the attack's answer."""
        ...

    def at_risk(self, given: Given, claim: Claim, most: int) -> list[AtRisk]:
        """Return whom the attack points at most, by id; empty where it points at nobody."""
        ...


@dataclass(frozen=True)
class Claim:
    """One thing the audit may find.

    Attributes:
        attack: with its settings.
        kind: of a claim about the given model; None for claims by coins.
        coins: of a claim by coins; None for claims about the given model.
        column: for claims about an attribute.
        why_not: why it cannot be tested, or "".
    """

    attack: Attack
    kind: Kind | None = None
    coins: Coins | None = None
    column: str = ""
    why_not: str = ""

    @property
    def name(self) -> str:
        """A name for its evidence files."""
        if self.coins is not None:
            return f"{self.attack.code}-coins-{self.coins.name}"
        assert self.kind is not None
        return f"{self.attack.code}-given-{self.kind.name}" + (f"-{self.column}" if self.column else "")


def coin_claims(session: Session, attack: Attack, coins: Sequence[Coins], column: str = "") -> list[Claim]:
    """Return one claim for each kind of coins; all need a recipe."""
    no_recipe = "" if session.recipe is not None else "there is no recipe to train the model again"
    return [Claim(attack, None, each, column, why_not=no_recipe or each.why_not(session.splits)) for each in coins]


def affordable(session: Session, most: int) -> int:
    """Return how many queries the attacker can pay for, at the most `most`."""
    return most if session.threat.queries is None else min(most, session.threat.queries)


def resamples(role: Role) -> int:
    """Return how many bootstrap samples are worth drawing: only the target's intervals are shown."""
    return 1000 if role is Role.TARGET else 20
