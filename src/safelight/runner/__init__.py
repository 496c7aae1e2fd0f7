"""Plan, run, measure, judge: one audit from a target to a report."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from safelight.attacks.base import Attack, all_attacks
from safelight.attacks.configure import check
from safelight.compute.engine import Engine
from safelight.compute.ledger import Ledger
from safelight.compute.shadows import ShadowPool
from safelight.data.gate import GateResult, blind_gate
from safelight.data.records import Splits
from safelight.errors import InputError, TargetFailed
from safelight.evidence import Role, Store
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.report.model import Report, Rung
from safelight.runner.assemble import Judged, assemble
from safelight.runner.base_model import unfit
from safelight.runner.coin_runs import REFUSALS, CoinRunner, Pool, groups, null_rungs
from safelight.runner.given import Given
from safelight.runner.kinds.base import Claim
from safelight.runner.plan import Plan, guesses_a_run, make_plan
from safelight.runner.references import enough_references
from safelight.runner.session import Profile, Session, with_public
from safelight.targets.base import Images, Shadows, Target
from safelight.targets.sklearn import SklearnModel
from safelight.threat import Observes, ThreatModel
from safelight.verdict.dp_claim import DpClaim, check_claim
from safelight.verdict.levels import Policy
from safelight.verdict.outcome import of_coins
from safelight.verdict.rebuilt import rebuilt_errors

__all__ = ["Profile", "audit", "recipe_of"]

BLIND = "it cannot see a planted leak here"


def audit(
    target: Target,
    splits: Splits,
    threat: ThreatModel | None = None,
    *,
    recipe: Recipe | None = None,
    shadows: Shadows | None = None,
    policy: Policy | None = None,
    seed: int = 0,
    only: str | Sequence[str] = (),
    skip: str | Sequence[str] = (),
    tuned: Sequence[Attack] = (),
    profile: Profile = Profile.FAST,
    seconds: float | None = None,
    out: Path | None = None,
    resume: bool = False,
    engine: Engine | None = None,
    show_records: bool = False,
    accepted: Mapping[str, str] | None = None,
    claim: DpClaim | None = None,
    base: Target | None = None,
    hashes: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Audit one model, or one released table: attack it through the door of `threat`, against controls, and say what
    leaks.

    Args:
        target: the model, or the table.
        splits: members, nonmembers and public records, and what their owner declares about them.
        threat: the attacker; scores, no query limit and all knowledge when left out.
        recipe: how the model is trained again. scikit-learn targets default to clone and fit.
        shadows: reference models that were trained already; left out, they are trained by the recipe.
        policy: what the owner accepts.
        seed: the same seed gives the same report.
        only, skip: beginnings of attack codes, such as "V" or "M001".
        tuned: attacks with settings of your own, which stand in for the defaults of the same code.
        profile: FAST, or DEEP for attacks and controls that take long.
        seconds: time budget of the audit: fewer reference models and fewer runs, which mean less power, and the report
            says so. One run of everything is always done.
        out: folder for evidence; kept in memory when left out.
        resume: go on with the evidence in `out` instead of starting anew.
        engine: where reference models are trained, and runs done; this process when left out. It changes no result.
        show_records: whether training records may be shown in the report.
        accepted: code -> reason, for findings that the owner accepts.
        claim: a promise of differential privacy, to hold against the coins; the report shows how it stands. Its level
            is `policy.alpha`, apart from that of the findings; it changes no finding and no verdict.
        base: what the target was fine-tuned from, never trained on members or nonmembers: an attacker who knows
            the recipe has it, and takes its answers as a reference (M002).
        hashes: sha256 of model and data files by name, for the report.
        say: called with one line of progress.

    Raises:
        InputError, BadAnswer: the data, the model's answers or the engine cannot be used.
        WorkersLost: the engine's workers die again and again, or have other packages.
        MissingExtra: the promise names a training by DP-SGD, and dp-accounting is not installed.
    """
    if claim is not None and claim.mechanism is not None:
        claim.mechanism.epsilon(max(claim.delta, 1e-12))  # what is missing shows before any work
    target, base = _based(target, base)
    engine = engine or Engine()
    trained, ledger = recipe_of(recipe, target), _ledger(out, say)
    engine.open(trained)
    session = Session(
        target,
        with_public(splits, np.random.default_rng([seed, 11])),
        _through_its_door(threat or ThreatModel(), target),
        trained,
        policy or Policy(),
        seed,
        profile,
        (only,) if isinstance(only, str) else tuple(only),
        (skip,) if isinstance(skip, str) else tuple(skip),
        _tuned(tuned),
        seconds,
        show_records,
        _store(out, resume),
        shadows or (None if trained is None else ShadowPool(trained, seed, ledger, engine)),
        ledger,
        say,
        engine=engine,
        base=base,
    )
    _check_labels(session)
    gate = _gate(session)
    plan = make_plan(session, gate)
    for line in plan.lines(session):
        say(line)
    plan, held_out = enough_references(session, plan)
    judged = {claim.name: Judged(claim, claim.why_not) for claim in plan.claims}
    rungs: list[Rung] = []
    shared = groups(plan.tested)
    for place, (coins, claims) in enumerate(shared):
        # What is left is shared equally among the kinds of coins still to come and the claims on the given model.
        seconds = session.left() / (len(shared) - place + 1)
        rungs += _coins(session, plan, CoinRunner(session, coins, claims, seconds), judged)
    given = Given(session, plan.level, held_out.chances)
    incomplete = ""
    for tested in plan.tested:
        if tested.kind is None:
            continue
        try:
            rungs += _given(given, tested, plan, judged)
        except TargetFailed as failure:
            incomplete = str(failure)
            judged[tested.name].why_not = f"the target failed: {failure}"
    report = assemble(session, plan, gate, given, list(judged.values()), rungs, held_out.steps, incomplete)
    return replace(
        report,
        findings=tuple(replace(item, accepted=(accepted or {}).get(item.code, "")) for item in report.findings),
        hashes={**(hashes or {}), **report.hashes},
        promise=None if claim is None else check_claim(claim, report.findings, session.policy.alpha),
    )


def _coins(session: Session, plan: Plan, runner: CoinRunner, judged: dict[str, Judged]) -> list[Rung]:
    """Run one kind of coins: planted leak first, then the recipe, then the places where nothing can leak."""
    runs, per_run = plan.runs[runner.coins.name], guesses_a_run(session, runner.coins)
    enough = min(runs, math.ceil(40 / per_run))
    rungs: list[Rung] = []
    seeing: list[Claim] = []
    for claim, pool in zip(runner.claims, runner.planted(enough)):
        if pool.failed:
            judged[claim.name].why_not = pool.failed
            continue
        outcome = of_coins(pool.total(), per_run, plan.level, session.policy)
        rungs.append(_planted_rung(claim, pool, outcome.p, outcome.p <= plan.level))
        if outcome.p <= plan.level:
            seeing.append(claim)
        else:
            judged[claim.name].why_not = BLIND
    if not seeing:
        return rungs
    runner = replace(runner, claims=tuple(seeing))
    real = runner.real(runs)
    for claim, pool in zip(seeing, real):
        if pool.failed:
            judged[claim.name].why_not = pool.failed
        else:
            private = runner.coins.adjacency != "none"
            outcome = of_coins(pool.total(), per_run, plan.level, session.policy, private)
            beside = rebuilt_errors(pool.evidence, plan.level)
            judged[claim.name].coins(replace(outcome, measured=(*outcome.measured, *beside)), pool)
    return rungs + null_rungs(runner, real, math.ceil(runs / 3))


def _given(given: Given, claim: Claim, plan: Plan, judged: dict[str, Judged]) -> list[Rung]:
    """Test one claim on the model that was given: planted leak first, then the model, then one that never saw."""
    entry = judged[claim.name]
    try:
        planted = given.outcome(claim, Role.PLANTED)
        if planted is None or planted.p > plan.level:
            entry.why_not = BLIND
            return []
        outcome = given.outcome(claim)
    except REFUSALS as refusal:
        entry.why_not = str(refusal)
        return []
    entry.outcome = outcome
    never = given.outcome(claim, Role.NEVER_SAW)
    return [] if never is None else [Rung(Role.NEVER_SAW.value, claim.attack.code, 0, 0, 2, never.p, None)]


def _based(target: Target, base: Target | None) -> tuple[Target, Target | None]:
    """Return the target, described with its base model, and the base model where it can serve; warn where not."""
    if base is None:
        return target, None
    reason = unfit(base, target)
    if reason:
        warnings.warn(f"The base model {base.name} is not used as a reference: {reason}.", stacklevel=3)
    with_base = f"fine-tuned from {base.name}" + (" (not used as a reference)" if reason else "")
    described = ", ".join(part for part in (target.description, with_base) if part)
    return replace(target, description=described), None if reason else base


def _through_its_door(threat: ThreatModel, target: Target) -> ThreatModel:
    """Return the attacker at the only door that the target has: a released table is seen, a model is asked."""
    return replace(threat, observes=getattr(target.model, "observes", Observes.QUERIES))


def _planted_rung(claim: Claim, pool: Pool, p: float, seen: bool) -> Rung:
    total = pool.total()
    return Rung(
        Role.PLANTED.value, claim.attack.code, total.right, total.guesses, total.k, p, seen, "" if seen else BLIND
    )


def _tuned(attacks: Sequence[Attack]) -> dict[str, Attack]:
    for attack in attacks:
        check(attack)
        if all_attacks().get(attack.code) is not type(attack):
            raise InputError(f"{type(attack).__name__} is not the attack that is found as {attack.code}.")
    return {attack.code: attack for attack in attacks}


def _check_labels(session: Session) -> None:
    """Refuse labels that are no class numbers of the target."""
    classes, splits = session.target.model.classes, session.splits
    for name, group in (("members", splits.members), ("nonmembers", splits.nonmembers)):
        if group is None or not classes or not len(group):
            continue
        whole = group.y.dtype.kind in "iu"
        if not whole or group.y.min() < 0 or group.y.max() >= len(classes):
            seen = str(group.y.max() if whole else group.y[0])
            raise InputError(
                f"The labels of the {name} must be class numbers from 0 to {len(classes) - 1}, in the order of the "
                f"target's classes ({', '.join(classes[:4])}{', ...' if len(classes) > 4 else ''}), and one is {seen}."
            )


def _gate(session: Session) -> GateResult | None:
    if session.splits.nonmembers is None:
        return None
    return blind_gate(session.splits.members, session.splits.nonmembers, session.rng("gate"))


def recipe_of(recipe: Recipe | None, target: Target) -> Recipe | None:
    """Return how the target is trained again: as its owner says, or, for scikit-learn models, cloned and fitted."""
    if recipe is not None or not isinstance(target.model, SklearnModel):
        return recipe
    inputs = target.model.inputs
    return SklearnRecipe(target.model.fitted, inputs if isinstance(inputs, Images) else None)


def _ledger(out: Path | None, say: Callable[[str], None]) -> Ledger:
    try:
        ledger = Ledger(None if out is None else out / "ledger")
    except OSError as error:
        raise InputError(f"Cannot write to {out}: {error.strerror}; choose another --out folder.") from error
    if ledger.ignored:
        say(f"{out}/ledger was written by other versions ({ledger.ignored}); what they kept is ignored")
    return ledger


def _store(out: Path | None, resume: bool) -> Store:
    if out is None:
        return Store()
    folder = out / "evidence"
    try:
        store = Store(folder)
        if not resume:
            for path in folder.glob("*.npz"):
                path.unlink()
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another --out folder.") from error
    return store
