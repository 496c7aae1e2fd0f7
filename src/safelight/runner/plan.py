"""What an audit will do, decided and shown before any work: claims, and what is left out and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from safelight.attacks.base import Attack, all_attacks, observes
from safelight.controls.coins.attributes import AttributeCoins
from safelight.controls.coins.base import Coins
from safelight.data.gate import GateResult
from safelight.data.records import Split
from safelight.errors import InputError
from safelight.evidence import WhichShare, WhichValue
from safelight.measures.power import coins_needed
from safelight.report.model import Skipped
from safelight.runner.kinds import claims_of, fits
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Profile, Session
from safelight.threat import Knows, Observes
from safelight.verdict.levels import POWER


@dataclass(frozen=True)
class Plan:
    """All claims, tested or not, and the attacks that were left out.

    Attributes:
        claims: in the order of their codes.
        skipped: attacks left out.
        runs: trainings for each kind of coins, by its name.
        level: of one claim in the family of those that can be tested.
    """

    claims: tuple[Claim, ...]
    skipped: tuple[Skipped, ...]
    runs: dict[str, int]
    level: float

    @property
    def tested(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in self.claims if not claim.why_not)

    def lines(self, session: Session) -> list[str]:
        """Return the plan in words."""
        attacks = sorted({claim.attack.code for claim in self.tested})
        lines = [f"{len(attacks)} attacks ({', '.join(attacks)}), {len(self.tested)} claims"]
        for name, runs in self.runs.items():
            lines.append(f"coins over {name}: {runs} training{'s' if runs != 1 else ''}")
        limit = session.threat.queries
        if session.threat.observes is Observes.QUERIES:
            lines.append(f"at most {limit:,} queries an attack" if limit else "no limit on queries")
        return lines


def make_plan(session: Session, gate: GateResult | None) -> Plan:
    """Choose the attacks that fit the target, the threat model and the data."""
    claims: list[Claim] = []
    skipped: list[Skipped] = []
    for code, kind in _chosen(session).items():
        attack = session.tuned.get(code) or kind()
        reason = _misfit(session, attack)
        if reason:
            skipped.append(Skipped(code, attack.title, reason))
        else:
            claims += claims_of(session, attack, _no_given_claim(session, gate))
    tested = [claim for claim in claims if not claim.why_not]
    level = session.policy.level(len(tested))
    runs: dict[str, int] = {}
    for claim in tested:
        if claim.coins is not None and claim.coins.name not in runs:
            k = 2 if not isinstance(claim.coins, AttributeCoins) else _values(session, claim.coins.column)
            needed = coins_needed(session.policy.look_for, k, level, POWER) or 1
            runs[claim.coins.name] = math.ceil(needed / guesses_a_run(session, claim.coins))
    return Plan(tuple(claims), tuple(skipped), runs, level)


def guesses_a_run(session: Session, coins: Coins) -> int:
    return max(1, round(coins.share * coins.count(session.splits)))


def _chosen(session: Session) -> dict[str, type[Attack]]:
    known = all_attacks()
    for word in (*session.only, *session.skip):
        if not any(code.startswith(word) for code in known):
            raise InputError(f"No attack's code starts with {word!r}; `safelight attacks` lists them.")
    return {
        code: attack
        for code, attack in known.items()
        if (not session.only or code.startswith(session.only))
        and not (session.skip and code.startswith(session.skip))
        and observes(attack) is session.threat.observes
        and fits(session, attack)
    }


def _misfit(session: Session, attack: Attack) -> str:
    if attack.answers in (WhichValue, WhichShare) and not session.splits.sensitive:
        return "no sensitive column was named"
    if attack.needs > session.threat.access:
        return f"it needs {attack.needs.word}, and the threat model grants {session.threat.access.word}"
    if attack.needs > session.target.model.access:
        return f"it needs {attack.needs.word}, and the target shows no more than {session.target.model.access.word}"
    if attack.deep and session.profile is Profile.FAST and attack.code not in session.only:
        return "it takes long; --deep runs it"
    side = session.side()
    if Knows.PUBLIC in attack.knows and side.public is None:
        return "it needs public data, and " + (
            "none was named" if Knows.PUBLIC in session.threat.knows else "the threat model grants none"
        )
    based = side.base is not None and getattr(attack, "based", False)
    if Knows.RECIPE in attack.knows and side.shadows is None and not based:
        return "it trains reference models, and " + (
            "there is no recipe" if session.recipe is None else "the threat model does not grant the recipe"
        )
    fits = getattr(attack, "misfit", None)
    return fits(session.target.model, side) if fits is not None else ""


def _no_given_claim(session: Session, gate: GateResult | None) -> str:
    if session.splits.nonmembers is None or not len(session.splits.nonmembers):
        return "there are no nonmembers to compare with"
    if session.splits.drawn is not Split.RANDOM:
        return 'members and nonmembers may differ by themselves; set split = "random" if they were drawn at random'
    if gate is not None and gate.passed is False:
        return gate.reason
    return ""


def _values(session: Session, column: str) -> int:
    return int(session.splits.members.x[column].nunique())
