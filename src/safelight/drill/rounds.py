"""All attacks of a drill that fit, on the same coins, without a guard and behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from safelight.attacks.stealing.unasked import unasked
from safelight.data.records import Records
from safelight.drill.adaptive import Disguise
from safelight.drill.benign import FalseAlarms, false_alarms
from safelight.drill.case import Drill, nobody
from safelight.drill.clock import Clock
from safelight.drill.replay import Replay, Server, Told
from safelight.drill.result import Drilled, Drills, LeftOut, Run
from safelight.drill.scene import guard, name_of, rehearsed
from safelight.drill.traffic import visits
from safelight.drill.visitors import Visitors
from safelight.evidence import Evidence, Role, Scores, WhatWouldItAnswer
from safelight.measures.base import Measurement
from safelight.measures.fidelity import fidelity
from safelight.runner.coin_runs import REFUSALS, CoinRunner, Pool
from safelight.runner.kinds.base import Claim
from safelight.runner.kinds.stolen import Stolen
from safelight.runner.plan import make_plan
from safelight.runner.session import Session
from safelight.targets.base import Target
from safelight.tradeoff.measure import leak_of

SIDES = ("bare", "guarded")


def drill(case: Drill) -> Drills:
    """Do a whole drill. What is among its evidence already is not done again.

    Raises:
        InputError: the data, the policy or its database cannot be used.
        TargetFailed: the server failed, beyond the guard's refusals.
    """
    session = case.session()
    plan = make_plan(session, None)
    left_out = [LeftOut(item.code, item.reason) for item in plan.skipped]
    found: list[Drilled] = []
    with case.server() as serve:
        for code in dict.fromkeys(claim.attack.code for claim in plan.claims):
            claim, why = measurable(session, [claim for claim in plan.claims if claim.attack.code == code])
            if claim is None:
                left_out.append(LeftOut(code, why))
                continue
            for way in case.ways:
                try:
                    found.append(_rounds(case, session, claim, way, serve))
                except REFUSALS as refusal:
                    left_out.append(LeftOut(code, str(refusal)))
                    break
    return Drills(tuple(found), tuple(left_out))


def harmless(case: Drill, crowd: Visitors) -> FalseAlarms | None:
    """Show harmless clients to the watch and count its false alarms; None where the policy watches nothing.

    They have records of nonmembers, or of members where there are none.
    """
    session = case.session()
    splits = session.splits
    records = splits.members if splits.nonmembers is None or not len(splits.nonmembers) else splits.nonmembers
    with guard(nobody, rehearsed(case.policy, case.protocol, (), False), Clock(), case.watch) as made:
        if made.sight.watcher is None or crowd.clients + crowd.habits < 1:
            return None
        seen = visits(crowd, records, session.target.model, session.rng("harmless"))
        return false_alarms(made.sight.watcher, seen, name_of(case.policy), crowd.days)


def measurable(session: Session, claims: Sequence[Claim]) -> tuple[Claim | None, str]:
    """Return what one attack is measured by: its first claim by coins, or a copy; or None, and why nothing can be.

    Claims that lack a recipe alone count: their question can be asked, and no mu is measured.
    """
    why = ""
    for claim in claims:
        if claim.coins is not None:
            missing = claim.coins.why_not(session.splits)
            if not missing:
                return claim, ""
        elif isinstance(claim.kind, Stolen):
            return claim, ""
        else:
            missing = claim.why_not
        why = why or missing
    return None, why or "it makes no claim by coins"


def _rounds(case: Drill, session: Session, claim: Claim, way: Disguise, serve: Callable[[Target], Server]) -> Drilled:
    """Do all runs of one attack, asked in one way."""
    replay = Replay(session, case.policy, case.batch, case.days, watch=case.watch)
    pools, runs = (Pool(), Pool()), []
    for run in range(case.runs):
        both = _round(replay, claim, way, serve, run)
        case.say(f"{claim.attack.code}, {way.name}: run {run + 1} of {case.runs}")
        for pool, evidence in zip(pools, both, strict=True):
            pool.evidence.append(evidence)
            if claim.coins is not None and session.recipe is not None:
                pool.guesses.append(CoinRunner(session, claim.coins, (claim,)).score(evidence, Role.COINS, run))
        runs.append(Run.of(*both))
    mu = [leak_of(claim, pool, None).mu if pool.guesses else None for pool in pools]
    copied = [_fidelity(pool.evidence) for pool in pools]
    return Drilled(claim.attack.code, claim.attack.title, way.name, tuple(runs), *mu, *copied)


def _round(
    replay: Replay, claim: Claim, way: Disguise, serve: Callable[[Target], Server], run: int
) -> tuple[Evidence, Evidence]:
    """Return what one run gave without a guard and behind it; it is kept before anything is judged."""
    session = replay.session
    seed = int(session.rng("drill", claim.attack.code, run).integers(2**31))
    names = [f"{claim.name}-{way.name}-{side}-{run}" for side in SIDES]
    kept = [session.store.get(name) for name in names]
    if None in kept:
        told, target = _told(session, claim, run)
        server = serve(target)
        for place, work in enumerate((replay.unguarded, replay.guarded)):
            if kept[place] is None:
                evidence = _copied(session, work(claim.attack, told, server, seed, run, way), told, target)
                session.store.put(names[place], evidence)
                kept[place] = evidence
    bare, guarded = kept
    assert bare is not None
    assert guarded is not None
    return bare, guarded


def _told(session: Session, claim: Claim, run: int) -> tuple[Told, Target]:
    """Return what an attack is asked in one run, and the model of that run."""
    if claim.coins is None:
        assert claim.kind is not None
        return Told(claim.kind.question(session, claim)), _trained(session, session.splits.members, "members", run)
    draw = claim.coins.flip(session.splits, session.rng("flip", claim.coins.name, run))
    told = Told(draw.question, draw, claim.coins.unit, claim.coins.adjacency)
    return told, _trained(session, draw.train, claim.coins.name, run)


def _trained(session: Session, train: Records, name: str, run: int) -> Target:
    if session.recipe is None:
        return session.target
    return session.recipe.fit(train, int(session.rng("train", "flip", name, run).integers(2**31)))


def _copied(session: Session, evidence: Evidence, told: Told, target: Target) -> Evidence:
    """Return evidence of a copied model with the records on which copy and model agree, and a copy that asked nothing.

    An attack that got no answer has that copy.
    """
    if not isinstance(told.question, WhatWouldItAnswer):
        return evidence
    records, model = told.question.records, target.model
    labels, count = model.labels(records.x), len(model.classes)
    alone = unasked(session.splits.public, model.inputs, records, count, session.rng("unasked"))
    answer = evidence.answer
    assert isinstance(answer, Scores)
    copy = answer if len(answer.values) else alone
    same = {"same": copy.values.argmax(axis=1) == labels, "alone": alone.values.argmax(axis=1) == labels}
    return replace(evidence, extra={**evidence.extra, **same})


def _fidelity(pool: Sequence[Evidence]) -> Measurement | None:
    if not pool or "same" not in pool[0].extra:
        return None
    same, alone = (np.concatenate([evidence.extra[name] for evidence in pool]) for name in ("same", "alone"))
    return replace(fidelity(same), control=float(alone.mean()))
