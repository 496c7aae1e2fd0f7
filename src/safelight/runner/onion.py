"""The onion: take the records most at risk out of training, look again, and see who is exposed next.

Outliers hide those who are a little less so: once they are gone, the next ones stand out (Carlini et al. 2022,
arXiv:2206.10469). So removing the riskiest records need not lower the risk of the rest. Beside every layer stands a
control: as many records removed at random. Who leaves is chosen with other models than those that measure: a record
that stood out by luck would seem to calm down by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.membership.bavaria import Bavaria
from safelight.compute.held_out import HeldOut
from safelight.compute.ledger import Ledger
from safelight.compute.shadows import ShadowPool
from safelight.data.copies import copies
from safelight.data.records import Records
from safelight.errors import InputError
from safelight.evidence import WhoWasIn
from safelight.measures.bootstrap import percentile_interval, units_of
from safelight.measures.threshold import allowed
from safelight.recipes.base import Recipe
from safelight.targets.base import Images, Side, Table, Target
from safelight.targets.recalled import recalled
from safelight.threat import Access, ThreatModel

FPR = 0.01


@dataclass(frozen=True)
class Change:
    """How the exposure of the records that stayed changed when others left.

    Attributes:
        before, after: mean exposure of the same records, in [0, 1].
        gain: after - before, with a 95 % bootstrap interval over records.
    """

    before: float
    after: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Layer:
    """One layer: who is most exposed among the records that are left, and what their removal does to the rest.

    Attributes:
        records: how many were trained on.
        exposure: mean over them of the share of models, among those trained with a record, in which it is found at 1 %
            false alarms.
        riskiest: ids of those that leave, most exposed first.
        exposures: of those, in the same order, in the models that measure.
        copied: how many of those have copies among the records.
        rest: change of the others once these are gone.
        control: the same with as many records that leave at random.
    """

    records: int
    exposure: float
    riskiest: tuple[str, ...]
    exposures: tuple[float, ...]
    copied: int
    rest: Change
    control: Change


def peel(
    recipe: Recipe,
    members: Records,
    *,
    layers: int = 2,
    share: float = 0.05,
    references: int = 16,
    seed: int = 0,
    ledger: Ledger | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Layer, ...]:
    """Peel `layers` layers, each `share` of the records that are left.

    Args:
        recipe: how a model is trained.
        members: the training records.
        share: in (0, 0.5).
        references: models a measurement (an even number of at least 8), each trained on half of the records.
        seed: the same seed gives the same layers.
        ledger: where what the models answer is kept.
        say: called with one line of progress.

    Raises:
        InputError: a number is out of range, or the records are too few.
    """
    if layers < 1 or not 0 < share < 0.5 or references < 8 or references % 2:
        raise InputError(
            f"layers is {layers}, share {share} and references {references}; use at least 1 layer, a share between 0 "
            "and 0.5, and an even number of at least 8 references."
        )
    leaving = max(1, round(share * len(members)))
    if len(members) - layers * leaving < 100:
        raise InputError(
            f"{layers} layers of {leaving} leave {len(members) - layers * leaving} of {len(members)} records; at least "
            "100 must stay to find anybody at 1 % false alarms."
        )
    kept = Ledger() if ledger is None else ledger
    choosing, measuring = ShadowPool(recipe, seed, kept), ShadowPool(recipe, seed + 1, kept)
    rng = np.random.default_rng([seed, 22])
    found: list[Layer] = []
    here, exposed = members, exposure(measuring, members, references)
    for number in range(layers):
        say(f"layer {number + 1} of {layers}: {len(here)} records")
        chosen = exposure(choosing, here, references)
        order = np.lexsort((rng.random(len(here)), -chosen))
        top, at_random = order[:leaving], rng.permutation(len(here))[:leaving]
        rest = np.setdiff1d(np.arange(len(here)), top)
        others = np.setdiff1d(np.arange(len(here)), at_random)
        after = exposure(measuring, here.take(rest), references)
        control = exposure(measuring, here.take(others), references)
        alike = copies(here)
        found.append(
            Layer(
                len(here),
                float(exposed.mean()),
                tuple(map(str, here.ids[top])),
                tuple(map(float, exposed[top])),
                int((np.bincount(alike)[alike][top] > 1).sum()),
                _change(exposed[rest], after, rng),
                _change(exposed[others], control, rng),
            )
        )
        here, exposed = here.take(rest), after
    return tuple(found)


def exposure(pool: ShadowPool, records: Records, references: int) -> Array:
    """Return for each record (n,) in which share of the models trained with it it is found at 1 % false alarms.

    Every model is a target in turn, attacked by M004 with the others but its partner.
    """
    answers, inside = pool.answers(records, references)
    inputs = Table(tuple(records.x.columns)) if records.is_table else Images(records.x.shape[1:])
    classes = tuple(map(str, range(answers.shape[2]))) if answers.ndim == 3 else ()
    found = np.zeros_like(inside)
    for number in range(references):
        target = Target("held out", recalled(records.x, answers[number], inputs, classes))
        view = target.view(ThreatModel(Access.SCORES), Side(None, HeldOut(pool, references, number // 2)))
        scores = Bavaria(references).run(view, WhoWasIn(records), np.random.default_rng(0)).values[:, 0]
        outside = np.sort(scores[~inside[number]])
        found[number] = scores > outside[-1 - allowed(FPR, len(outside))]
    return np.asarray((found & inside).sum(axis=0) / inside.sum(axis=0))


def _change(before: Array, after: Array, rng: np.random.Generator) -> Change:
    gain = after - before
    low, high = percentile_interval(
        lambda weights: (weights @ gain) / weights.sum(axis=1), units_of(len(gain)), rng, 1000, 0.95
    )
    return Change(float(before.mean()), float(after.mean()), float(gain.mean()), float(low), float(high))
