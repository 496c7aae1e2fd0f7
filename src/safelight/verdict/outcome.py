"""From evidence to what one claim measured: pure functions, before anything is judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from scipy.stats import norm

from safelight.controls.coins.base import Guesses
from safelight.controls.matcher import own_rank
from safelight.evidence import Evidence
from safelight.measures.base import Measurement
from safelight.measures.beyond_rest import beyond_rest
from safelight.measures.binomial import binomial_p, clopper_pearson
from safelight.measures.bootstrap import percentile_interval, units_of
from safelight.measures.difference import mean_difference
from safelight.measures.one_run import epsilon_one_run, mu_one_run
from safelight.measures.permutation import conformal_permutation_p, membership_permutation_p, rank_permutation_p
from safelight.measures.power import coins_needed, mu_ceiling, power, success_detectable, tpr_power
from safelight.measures.roc import auc, auc_interval, auc_p, tpr_at_fpr
from safelight.measures.tables import table_measures
from safelight.verdict.levels import LOOK_FOR_FPR, LOOK_FOR_TPR, POWER, Policy

DELTA = 1e-5


@dataclass(frozen=True)
class Outcome:
    """What one claim measured.

    Attributes:
        p: one-sided chance of a result at least as strong if nothing leaks.
        measured: the numbers.
        bound: lower bound of the leak in the claim's unit, at the claim's own level.
        powered: whether 80 % power against `policy.look_for` was reached.
        settle: what would settle an unclear claim; "" when it is powered.
    """

    p: float
    measured: tuple[Measurement, ...]
    bound: float
    powered: bool
    settle: str = ""


def of_coins(pooled: Guesses, per_run: int, level: float, policy: Policy, private: bool = True) -> Outcome:
    """Judge randomised secrets: right guesses are Binomial(guesses, 1/k) if nothing leaks.

    Args:
        pooled: over all runs; each run flipped its own coins and trained its own model.
        per_run: guesses one run gives.
        level: of this claim; intervals and bounds have confidence 1 - level.
        private: whether a coin decides about one record or person, so that guesses bound differential privacy.
    """
    n, right, k = pooled.guesses, pooled.right, pooled.k
    chance, confidence = 1 / k, 1 - level
    low, high = clopper_pearson(right, n, confidence)
    mu = mu_one_run(pooled.coins, n, right, k, confidence)
    measured = [
        Measurement("coins_correct", right, low * n, high * n, control=n * chance),
        Measurement("coins", pooled.coins),
        Measurement("guesses", n),
        Measurement("success", right / n, low, high, control=chance),
        Measurement("mu", mu, low=mu),
        Measurement("mu_ceiling", mu_ceiling(pooled.coins, n, k, confidence)),
        Measurement("success_detectable", success_detectable(n, k, level, POWER)),
    ]
    if k == 2:
        epsilon = epsilon_one_run(pooled.coins, n, right, DELTA, confidence)
        measured.append(Measurement("epsilon", epsilon, low=epsilon))
    if not private:
        measured = [item for item in measured if item.name not in ("mu", "mu_ceiling", "epsilon")]
    powered = power(n, policy.look_for, k, level) >= POWER
    settle = ""
    if not powered:
        needed = coins_needed(policy.look_for, k, level, POWER) or 0
        settle = f"{needed} guesses ({math.ceil(needed / per_run)} runs) would settle it; it had {n}"
    return Outcome(binomial_p(right, n, chance), tuple(measured), mu, powered, settle)


def of_membership(
    scores: Array, member: Array, level: float, rng: Generator, person: Array | None = None, resamples: int = 1000
) -> Outcome:
    """Judge scores (n,) of records known to be in or out (n,): several operating points and one omnibus test.

    The tests are the AUC and the TPR at 1 % FPR, also at 0.1 % where at least 3,000 nonmembers carry it; p is the
    smallest, times their number. Intervals take `resamples` bootstrap samples.
    """
    inside, outside = scores[member], scores[~member]
    inside_of = None if person is None else person[member]
    outside_of = None if person is None else person[~member]
    points = [fpr for fpr in (LOOK_FOR_FPR, 0.001) if len(outside) * fpr >= (1 if fpr == LOOK_FOR_FPR else 3)]
    confidence, draws = 1 - level, _draws(level)
    rates = [
        tpr_at_fpr(inside, outside, fpr, rng, inside_of, outside_of, resamples, draws, confidence) for fpr in points
    ]
    tests = 1 + len(rates)
    low, high = auc_interval(inside, outside, rng, inside_of, outside_of, resamples, confidence)
    ps = [
        auc_p(inside, outside, rng, inside_of, outside_of, draws=draws),
        *(rate.p for rate in rates if rate.p is not None),
    ]
    measured = (Measurement("auc", auc(inside, outside), low, high, control=0.5), *(rate.measurement for rate in rates))
    powered = tpr_power(len(inside), len(outside), LOOK_FOR_FPR, LOOK_FOR_TPR, level / tests) >= POWER
    bound = max((item.low or 0.0) - (item.control or 0.0) for item in measured)
    settle = "" if powered else (
        f"{len(inside)} members and {len(outside)} nonmembers cannot show a TPR of 5 % at 1 % FPR; more of both would"
    )  # fmt: skip
    return Outcome(min(1.0, tests * min(ps)), measured, bound, powered, settle)


def of_tail(scores: Array, member: Array, level: float, rng: Generator, person: Array | None = None,
            resamples: int = 1000) -> Outcome:  # fmt: skip
    """Judge scores (n,) by the nonmembers that they tell from all but 1 in 100 members, and by the AUC.

    It is `of_membership` with both sides exchanged: a low score says "surely not a member".
    """
    turned = of_membership(-scores, ~member, level, rng, person, resamples)
    rate = turned.measured[1:2]
    measured = (turned.measured[0], *(replace(item, name=f"tnr_at_fnr_{LOOK_FOR_FPR:g}") for item in rate))
    sizes = f"{member.sum()} members and {(~member).sum()} nonmembers"
    settle = "" if turned.powered else f"{sizes} cannot show a TNR of 5 % at 1 % FNR; more of both would"
    return replace(turned, measured=measured, settle=settle)


def of_groups(
    scores: Array, member: Array, group: Array, level: float, rng: Generator, person: Array | None = None,
    least: int = 20,
) -> dict[str, tuple[Measurement, ...]]:  # fmt: skip
    """Return AUC and TPR at 1 % FPR within each group of the population, by its name, and how far its AUC is above that
    of all others together.

    Intervals have confidence 1 - level / groups, so that they hold for all groups together; with `person` (n,) they go
    by whole people. A group with fewer than `least` members or nonmembers has no numbers.
    """
    names = np.unique(group)
    confidence = 1 - level / len(names)
    rows: dict[str, tuple[Measurement, ...]] = {}

    def within(chosen: Array) -> Measurement:
        inside, outside = member & chosen, ~member & chosen
        if min(inside.sum(), outside.sum()) < least:
            return Measurement("auc", None, control=0.5)
        low, high = auc_interval(
            scores[inside], scores[outside], rng, _at(person, inside), _at(person, outside), confidence=confidence
        )
        return Measurement("auc", auc(scores[inside], scores[outside]), low, high, control=0.5)

    for name in names:
        mine = group == name
        own = within(mine)
        if own.value is None:
            rows[str(name)] = (own, *_beside(own, None, len(names)))
            continue
        inside, outside = member & mine, ~member & mine
        rate = tpr_at_fpr(
            scores[inside], scores[outside], LOOK_FOR_FPR, rng, _at(person, inside), _at(person, outside),
            confidence=confidence,
        )  # fmt: skip
        rows[str(name)] = (own, rate.measurement, *_beside(own, within(~mine), len(names)))
    return rows


def _at(person: Array | None, chosen: Array) -> Array | None:
    return None if person is None else person[chosen]


def _beside(own: Measurement, rest: Measurement | None, groups: int) -> tuple[Measurement, ...]:
    """Return how far a group is above the rest; nothing where there is no rest."""
    return () if groups < 2 else (beyond_rest(own, rest or Measurement(own.name, None)),)


def of_coin_groups(runs: Sequence[Evidence], level: float, least: int = 20) -> dict[str, tuple[Measurement, ...]]:
    """Return the share of right guesses within each group of units, all of them guessed, and how far it is above that
    of all others together; empty without groups.

    Intervals have confidence 1 - level / groups, so that they hold for all groups together. A group with fewer than
    `least` coins has no numbers.
    """
    kept = [(run.belief, run.secret, run.extra["group"]) for run in runs if "group" in run.extra]
    if not kept:
        return {}
    right = np.concatenate([np.asarray(belief).argmax(axis=1) == secret for belief, secret, _ in kept])
    group = np.concatenate([names for _, _, names in kept])
    names = np.unique(group)

    def within(chosen: Array) -> Measurement:
        mine = right[chosen]
        if len(mine) < least:
            return Measurement("success", None, control=1 / runs[0].k)
        low, high = clopper_pearson(int(mine.sum()), len(mine), 1 - level / len(names))
        return Measurement("success", float(mine.mean()), low, high, control=1 / runs[0].k)

    rows: dict[str, tuple[Measurement, ...]] = {}
    for name in names:
        own = within(group == name)
        count = Measurement("coins", int((group == name).sum()))
        rows[str(name)] = (own, count, *_beside(own, within(group != name), len(names)))
    return rows


def of_attribute(
    belief: Array,
    imputed: Array,
    secret: Array,
    member: Array,
    level: float,
    policy: Policy,
    rng: Generator,
    resamples: int = 500,
) -> tuple[Outcome, dict[str, tuple[Measurement, ...]]]:
    """Judge guesses of an attribute on a given split: does the model add more for members than for nonmembers?

    Args:
        belief: (n, k) of the attack; imputed: (n, k) of the same knowledge without the model.
        secret: (n,) true value numbers; member: (n,) bool.
        resamples: bootstrap samples of the rows' intervals.

    Returns:
        the outcome, and the rows members, nonmembers and imputation.

    Beating imputation equally on both is population inference, not a training leak (Jayaraman and Evans 2022).
    """
    gain = (belief.argmax(1) == secret).astype(float) - (imputed.argmax(1) == secret)
    p = membership_permutation_p(gain, member, rng, draws=_draws(level))
    excess = gain[member].mean() - gain[~member].mean()
    spread = math.sqrt(gain[member].var() / member.sum() + gain[~member].var() / (~member).sum())
    reach = float(norm.isf(level)) * spread
    rows = {
        name: table_measures(guess.argmax(1), truth, belief.shape[1], rng, guess, draws=resamples)
        for name, guess, truth in (
            ("members", belief[member], secret[member]),
            ("nonmembers", belief[~member], secret[~member]),
            ("imputation", imputed[member], secret[member]),
        )
    }
    outside = {item.name: item.value for item in rows["nonmembers"]}
    measured = (
        Measurement("gain", float(excess), float(excess - reach), float(excess + reach), control=0.0),
        *(Measurement(m.name, m.value, m.low, m.high, m.floor, outside[m.name]) for m in rows["members"]),
    )
    seen = (float(norm.isf(level)) + float(norm.ppf(POWER))) * max(spread, 1e-12)
    wanted = policy.look_for - 0.5
    settle = "" if seen <= wanted else (
        f"only a gain of {seen:.0%} would have been seen; about {math.ceil(len(secret) * (seen / wanted) ** 2)} "
        "records would settle it"
    )  # fmt: skip
    return Outcome(p, measured, float(excess - reach), seen <= wanted, settle), rows


def of_records(similarity: Array, label: Array, member: Array, level: float, policy: Policy, rng: Generator) -> Outcome:
    """Judge rebuilt pictures against single records: are members more alike than nonmembers of the same class?

    Args:
        similarity: (n,) likeness of each photo to the picture rebuilt for its own class.
        label: (n,) classes; membership is permuted within each.
    """
    p = membership_permutation_p(similarity, member, rng, strata=label, draws=_draws(level))
    each, weights = [], []
    for c in np.unique(label):
        inside, outside = similarity[(label == c) & member], similarity[(label == c) & ~member]
        if len(inside) and len(outside):
            each.append(auc(inside, outside))
            weights.append((len(inside) + len(outside) + 1) / (12 * len(inside) * len(outside)))
    value, spread = float(np.mean(each)), math.sqrt(sum(weights)) / len(each)
    reach = float(norm.isf(level / 2)) * spread
    seen = 0.5 + (float(norm.isf(level)) + float(norm.ppf(POWER))) * spread
    measured = (Measurement("auc", value, max(0.0, value - reach), min(1.0, value + reach), seen, 0.5),)
    powered = seen <= policy.look_for
    settle = "" if powered else f"only an AUC of {seen:.2f} would have been seen; more records a class would settle it"
    return Outcome(p, measured, value - reach - 0.5, powered, settle)


def of_recognition(
    similarity: Array, control: Array | None, others: Sequence[tuple[str, Array]], level: float, policy: Policy,
    rng: Generator,
) -> Outcome:  # fmt: skip
    """Judge whether rebuilt pictures show their classes: does an independent matcher rank the true class high?

    Two tests, and p is twice the smaller: how often the true class comes first, and how many decoys it beats (the
    conformal ranks of all classes together, by joint permutation). The second sees what is too blurred to come first.

    Args:
        similarity: (c, c) likeness of the picture of class i to the photos of class j.
        control: the same for a model that never saw the classes, or None.
        others: named rows to print beside it (start image, prior alone), each (c, c).
    """
    c = len(similarity)
    first = own_rank(similarity) == 1
    low, high = clopper_pearson(int(first.sum()), c, 1 - level)
    chance = 1 / c
    measured = [
        Measurement("rank1", float(first.mean()), low, high, 1 / c,
                    chance if control is None else float((own_rank(control) == 1).mean()))
    ]  # fmt: skip
    measured += [Measurement(f"rank1_{name}", float((own_rank(row) == 1).mean())) for name, row in others]
    measured.append(_pairs_of_classes(similarity, rng, 1 - level))
    if control is not None:
        measured.append(mean_difference(_own_z(similarity), _own_z(control), rng, confidence=1 - level).measurement)
    powered = power(c, policy.look_for, c, level / 2) >= POWER
    settle = "" if powered else f"{c} classes are too few to settle it"
    first_p = rank_permutation_p(similarity, rng, _draws(level))
    ranks_p = conformal_permutation_p(similarity, np.arange(c), rng, shared=True, draws=_draws(level))
    return Outcome(min(1.0, 2 * min(first_p, ranks_p)), tuple(measured), low - chance, powered, settle)


def _pairs_of_classes(similarity: Array, rng: Generator, confidence: float, draws: int = 2000) -> Measurement:
    """Return how often a picture is more like its own class than like another, bootstrapped over classes."""
    c = len(similarity)
    beaten = 1 - (own_rank(similarity) - 1) / (c - 1)
    low, high = percentile_interval(lambda w: (w @ beaten) / w.sum(axis=1), units_of(c), rng, draws, confidence)
    return Measurement("auc", float(beaten.mean()), float(low), float(high), control=0.5)


def _draws(level: float) -> int:
    """Return how many permutations carry a p-value well below `level`."""
    return max(9999, math.ceil(10 / level))


def _own_z(similarity: Array) -> Array:
    """Return how far the own class stands out among the others, in their standard deviations (c,)."""
    c = len(similarity)
    others = similarity[~np.eye(c, dtype=bool)].reshape(c, c - 1)
    return (np.diag(similarity) - others.mean(1)) / np.maximum(others.std(1), 1e-12)
