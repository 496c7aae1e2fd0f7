"""Measure one defence: train it, attack it, time it, and set it beside the undefended model."""

from __future__ import annotations

import io
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy import ndarray as Array
from scipy.stats import t as student

from safelight.data.records import Records
from safelight.defences.base import Defence
from safelight.errors import InputError, SafelightError
from safelight.evidence import Evidence, Reconstructions
from safelight.measures.base import Measurement
from safelight.measures.binomial import clopper_pearson
from safelight.measures.reidentification import mu_of_success
from safelight.measures.shares import share_difference
from safelight.recipes.base import Recipe
from safelight.runner.coin_runs import Pool
from safelight.runner.kinds.base import Claim
from safelight.targets.base import Target
from safelight.tradeoff.case import Case, name_of
from safelight.tradeoff.point import Cost, Leak, Point

CONFIDENCE = 0.95
ASKED = 256
"""Records of one timed answer."""


def tradeoff(case: Case, chains: Sequence[tuple[Defence, ...]], runs: int = 5, models: int = 3) -> tuple[Point, ...]:
    """Measure the undefended model and every chain of defences on the same coins.

    Args:
        case: what is defended, against whom.
        chains: defences to try, each a chain whose first member is innermost.
        runs: trainings for each kind of coins.
        models: trainings on all members that accuracy and cost are averaged over.
    """
    points: list[Point] = []
    first: Measured | None = None
    for chain in [(), *[chain for chain in chains if chain]]:
        name = name_of(chain)
        case.say(f"{name}: {runs} runs of each kind of coins")
        try:
            measured = Measured(case, name, chain, runs, models)
        except SafelightError as refusal:
            if not chain:
                raise
            points.append(Point(name, refused=str(refusal)))
            continue
        points.append(measured.point(first))
        first = first or measured
    return tuple(points)


class Measured:
    """One chain of defences, trained, attacked and timed.

    Attributes:
        pools: the guesses of each attack, by its claim's name.
    """

    def __init__(self, case: Case, name: str, chain: tuple[Defence, ...], runs: int, models: int) -> None:
        self.case, self.name, self.chain = case, name, chain
        self.recipe = case.defended(chain)
        assert case.splits.nonmembers is not None
        if not chain:  # what is slow the first time only is nobody's cost
            self.recipe.fit(case.splits.members, case.seed)
        trained = [_timed(self.recipe, case.splits.members, case.seed + number) for number in range(models)]
        self.targets = [target for target, _ in trained]
        self.seconds = min(seconds for _, seconds in trained)
        self.accuracy = accuracy(self.targets, case.splits.nonmembers)
        self.latency, self.size = latency(self.targets[0], case.splits.nonmembers), size(self.targets[0])
        found = case.attacked(name, self.recipe, self.targets[0], runs)
        self.pools: dict[str, tuple[Claim, Pool]] = {claim.name: (claim, pool) for claim, pool in found}

    def point(self, undefended: Measured | None) -> Point:
        """Return what was measured, beside the undefended model where this is not it."""
        before = {} if undefended is None else undefended.pools
        leaks = tuple(
            leak_of(claim, pool, before[key][1] if key in before else None) for key, (claim, pool) in self.pools.items()
        )
        cost = Cost(self.seconds, self.latency, self.size)
        if undefended is not None:
            cost = replace(
                cost,
                training_ratio=self.seconds / undefended.seconds if undefended.seconds else None,
                latency_ratio=self.latency / undefended.latency if undefended.latency else None,
                size_ratio=None if self.size is None or not undefended.size else self.size / undefended.size,
            )
        changes = {} if undefended is None else best_changes(leaks, undefended.point(None))
        return Point(self.name, self.accuracy, leaks, changes, cost, promise(self.chain, self.case))


def leak_of(claim: Claim, pool: Pool, before: Pool | None) -> Leak:
    """Return what one attack got, beside what it got from the undefended model."""
    attack = claim.attack
    assert claim.coins is not None
    if pool.failed or not pool.guesses:
        none = Measurement("success", None)
        about = (attack.code, attack.title, claim.coins.claim, claim.coins.unit)
        return Leak(*about, 0, 0, 2, 0, none, Measurement("mu", None), refused=pool.failed or "it made no guess")
    total = pool.total()
    low, high = clopper_pearson(total.right, total.guesses, CONFIDENCE)
    share = total.right / total.guesses
    success = Measurement("success", share, low, high, control=1 / total.k)
    mu = Measurement("mu", *(mu_of_success(value, total.k) for value in (share, low, high)))
    change = margin = None
    if before is not None and before.guesses and not before.failed:
        other = before.total()
        change = share_difference(total.right, total.guesses, other.right, other.guesses, CONFIDENCE)
        margin = paired_margin(pool.evidence, before.evidence)
    return Leak(
        attack.code, attack.title, claim.coins.claim, claim.coins.unit, total.right, total.guesses, total.k,
        len(pool.guesses), success, mu, change, margin,
    )  # fmt: skip


def best_changes(leaks: tuple[Leak, ...], undefended: Point) -> dict[str, Measurement]:
    """Return, by claim, the success of the best attack less that of the best attack on the undefended model."""
    found: dict[str, Measurement] = {}
    for claim in dict.fromkeys(leak.about for leak in leaks):
        best, before = Point("", leaks=leaks).worst(claim), undefended.worst(claim)
        if best is not None and before is not None:
            found[claim] = share_difference(best.right, best.guesses, before.right, before.guesses, CONFIDENCE)
    return found


def paired_margin(after: Sequence[Evidence], before: Sequence[Evidence]) -> Measurement | None:
    """Return how much nearer pictures are to the right candidate, less the same before; None without pictures.

    Likeness is a correlation, so the unit is the same for every model. Coins are paired: run and number name the same
    people. The interval is Student's over runs where there are at least three, else over coins.
    """
    if not after or len(after) != len(before) or not isinstance(after[0].answer, Reconstructions):
        return None
    each = [_margins(one) - _margins(other) for one, other in zip(after, before, strict=True)]
    values = np.array([run.mean() for run in each]) if len(each) >= 3 else np.concatenate(each)
    mean = float(values.mean())
    if len(values) < 2:
        return Measurement("margin", mean, control=0.0)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Measurement("margin", mean, mean - half, mean + half, control=0.0)


def _margins(evidence: Evidence) -> Array:
    belief, secret = evidence.belief, evidence.secret
    assert belief is not None
    assert secret is not None
    rows = np.arange(len(secret))
    right = belief[rows, secret]
    others = (belief.sum(axis=1) - right) / (belief.shape[1] - 1)
    return np.asarray(right - others)


def accuracy(targets: Sequence[Target], nonmembers: Records) -> Measurement:
    """Return the mean share of right classes (or R squared) over models, with an interval over records."""
    if targets[0].model.classes:
        right = np.mean([target.model.labels(nonmembers.x) == nonmembers.y for target in targets], axis=0)
        return _mean_of("accuracy", right)
    spread = ((nonmembers.y - nonmembers.y.mean()) ** 2).mean()
    errors = np.mean([(target.model.labels(nonmembers.x) - nonmembers.y) ** 2 for target in targets], axis=0)
    return _mean_of("r_squared", 1 - errors / spread)


def _mean_of(name: str, each: Array) -> Measurement:
    mean, half = float(each.mean()), 1.96 * float(each.std(ddof=1) / np.sqrt(len(each)))
    top = min(1.0, mean + half)
    return Measurement(name, mean, max(0.0, mean - half) if name == "accuracy" else mean - half, top)


def latency(target: Target, records: Records, repeats: int = 5) -> float:
    """Return the least CPU seconds of several that `ASKED` records took."""
    asked = records.take(np.arange(ASKED) % len(records)).x
    return min(_seconds(lambda: target.model.labels(asked)) for _ in range(repeats))


def size(target: Target) -> int | None:
    """Return the bytes of the model that stands behind a target: of its weights, or pickled; None where it has none."""
    from safelight.defences.compression.size import size as of_weights

    model: Any = target.model
    while hasattr(model, "defence"):
        model = model.model
    with suppress(InputError):  # it counts networks and linear models
        return of_weights(Target("", model))
    fitted = getattr(model, "fitted", None)
    if fitted is None:
        return None
    file = io.BytesIO()
    pickle.dump(fitted, file)
    return file.tell()


def promise(chain: tuple[Defence, ...], case: Case) -> str:
    """Return what differential privacy promises of a chain, in words, or ""."""
    recipe = case.recipe
    for defence in map(case.with_public, chain):
        given = getattr(defence, "guarantee", None)
        if given is not None:
            return str(given(recipe, len(case.splits.members)))
        recipe = defence(recipe)
    return ""


def _timed(recipe: Recipe, records: Records, seed: int) -> tuple[Target, float]:
    started = time.process_time()
    target = recipe.fit(records, seed)
    return target, time.process_time() - started


def _seconds(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
