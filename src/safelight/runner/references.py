"""How many reference models are enough: grown on held-out targets, then fixed before the audited model is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack
from safelight.attacks.membership.references import held
from safelight.compute.held_out import HeldOut
from safelight.compute.ledger import key_of
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records
from safelight.errors import SafelightError
from safelight.evidence import Scores, WhoWasIn
from safelight.measures.calibration import Calibration, calibrated
from safelight.measures.threshold import allowed
from safelight.report.model import Growth
from safelight.runner.kinds.base import Claim
from safelight.runner.plan import Plan
from safelight.runner.session import Profile, Session
from safelight.targets.base import Side, Target
from safelight.targets.recalled import recalled
from safelight.verdict.levels import LOOK_FOR_FPR

Asked = Mapping[str, tuple[Array, Array, Array]]
"""Code of an attack -> its scores about all held-out targets, who was a member of which, and the targets' numbers."""

GAIN = 0.01
"""Doubling the reference models has to find this share more members at 1 % false alarms."""
FIRST, TARGETS = 4, 8
MOST = {Profile.FAST: 16, Profile.DEEP: 64}


@dataclass(frozen=True)
class HeldOutTargets:
    """What held-out targets taught before the audited model was asked.

    Attributes:
        steps: what each number of reference models found.
        chances: code of an attack -> what its scores say of the chance of membership, with the number that was chosen.
    """

    steps: tuple[Growth, ...] = ()
    chances: Mapping[str, Calibration] = field(default_factory=dict)


def enough_references(session: Session, plan: Plan) -> tuple[Plan, HeldOutTargets]:
    """Return the plan with as many reference models as pay, and what they found on held-out targets.

    Each reference model is a target in turn, attacked with the others but its partner: the truth about it is known,
    and nothing about the audited model is used. The number is doubled while the best attack gains at least `GAIN`.
    Attacks whose settings the owner chose keep them.
    """
    growing = [claim for claim in plan.tested if _grows(session, claim.attack)]
    tried_on = [claim for claim in growing if claim.attack.answers is WhoWasIn]
    question = _question(session, tried_on)
    if question is None or not isinstance(session.shadows, ShadowPool):
        return plan, HeldOutTargets()
    attacks = {claim.attack.code: claim.attack for claim in tried_on}.values()
    try:
        tried = _growth(session, session.shadows, list(attacks), question, _sets(plan))
    except SafelightError as refusal:
        session.say(f"reference models: as many as by default ({refusal})")
        return plan, HeldOutTargets()
    steps = tuple(step for step, _ in tried)
    paid = len(steps) < 2 or steps[-1].tpr - steps[-2].tpr >= GAIN
    chosen, asked = tried[-1 if paid else -2]
    count = chosen.count
    session.say(f"reference models: {count}, chosen on {min(TARGETS, steps[0].count)} to {TARGETS} held-out targets")
    claims = tuple(
        replace(claim, attack=replace(claim.attack, references=count)) if claim in growing else claim  # type: ignore[type-var]
        for claim in plan.claims
    )
    chances = {code: calibrated(*answers) for code, answers in asked.items()}
    return replace(plan, claims=claims), HeldOutTargets(steps, chances)


def _grows(session: Session, attack: Attack) -> bool:
    has = any(item.name == "references" for item in fields(attack))  # type: ignore[arg-type]
    return has and attack.code not in session.tuned and issubclass(attack.answers, WhoWasIn)


def _question(session: Session, claims: Sequence[Claim]) -> Records | None:
    """Return what the first of these claims will ask about: models trained on it are needed anyway."""
    for claim in sorted(claims, key=lambda claim: claim.kind is None):
        if claim.kind is not None:
            asked = claim.kind.question(session, claim)
        elif claim.coins is not None:
            asked = claim.coins.flip(session.splits, session.rng("flip", claim.coins.name, 0)).question
        if isinstance(asked, WhoWasIn):
            return asked.records
    return None


def _sets(plan: Plan) -> int:
    """Return for how many different questions reference models will be trained."""
    coins = {claim.coins.name for claim in plan.tested if claim.coins and issubclass(claim.attack.answers, WhoWasIn)}
    return sum(plan.runs[name] for name in coins) + any(claim.kind is not None for claim in plan.tested)


def _growth(
    session: Session, pool: ShadowPool, attacks: list[Attack], question: Records, sets: int
) -> list[tuple[Growth, Asked]]:
    records = held(question, session.side().public, len(session.target.model.classes))
    kept = key_of("references", pool.recipe.key, records.digest, str(session.seed), str(MOST[session.profile]))
    chosen = session.ledger.get(kept) if session.seconds is not None else None
    most = MOST[session.profile] if chosen is None else int(chosen)
    steps: list[tuple[Growth, Asked]] = []
    count = FIRST
    while True:
        started = time.monotonic()
        answers, inside = pool.answers(records, count)
        steps.append(_best(session, pool, attacks, question, records, answers, inside))
        spent = time.monotonic() - started
        small = len(steps) > 1 and steps[-1][0].tpr - steps[-2][0].tpr < GAIN
        # The next step trains as many models again as there are now, and so will every question of the audit.
        dear = chosen is None and session.seconds is not None and 2 * spent * 2 * sets > session.left() / 2
        if small or dear or 2 * count > most:
            break
        count *= 2
    if session.seconds is not None:
        session.ledger.put(kept, np.array(count))
    return steps


def _best(
    session: Session, pool: ShadowPool, attacks: list[Attack], question: Records, records: Records,
    answers: Array, inside: Array,
) -> tuple[Growth, Asked]:  # fmt: skip
    """Attack up to `TARGETS` shadows in turn; returns the attack with the highest mean TPR at 1 % FPR, and answers."""
    count, n, model = len(answers), len(question), session.target.model
    rates: dict[str, list[float]] = {attack.code: [] for attack in attacks}
    found: dict[str, list[Array]] = {attack.code: [] for attack in attacks}
    for number in range(min(TARGETS, count)):
        shadow = recalled(records.x, answers[number], model.inputs, model.classes)
        side = Side(session.side().public, HeldOut(pool, count, number // 2))
        member = inside[number, :n]
        for attack in attacks:
            view = Target("held out", shadow).view(session.threat_of(attack), side)
            answer = attack.run(view, WhoWasIn(question), session.rng("held out", attack.code, count, number))
            assert isinstance(answer, Scores)
            scores = answer.values[:, 0]
            rates[attack.code].append(_tpr(scores[member], scores[~member]))
            found[attack.code].append(scores)
    means = {code: float(np.mean(each)) for code, each in rates.items()}
    code = max(sorted(means), key=lambda name: means[name])
    targets = len(rates[code])
    member, target = inside[:targets, :n].ravel(), np.repeat(np.arange(targets), n)
    return Growth(count, means[code], code), {
        name: (np.concatenate(scores), member, target) for name, scores in found.items()
    }


def _tpr(inside: Array, outside: Array) -> float:
    """Return the share of members above all nonmembers but 1 in 100."""
    threshold = np.sort(outside)[-1 - allowed(LOOK_FOR_FPR, len(outside))]
    return float((inside > threshold).mean())
