"""What judges forgetting: are those who left still found, and do those who stay stand out more?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from sklearn.metrics import roc_auc_score

from safelight.data.records import Records
from safelight.defences.base import refuse
from safelight.defences.training.unlearning import Unlearning, leaving
from safelight.recipes.base import Recipe
from safelight.targets.base import Target


@dataclass(frozen=True)
class Forgotten:
    """What is left of those who left, for each seed; an AUC of 0.5 is a stranger's.

    What is counted record by record is a test at two standard errors, so that exact forgetting counts a few by chance:
    0.09 of them with 3 seeds, 0.06 with 5. A fine-tuned model has had more passes over who stays than a retrained one.

    Attributes:
        before: (s,) AUC of those who left against strangers, by the loss, in the model that knows them.
        after: (s,) the same after forgetting.
        retrained: (s,) the same in a model trained again without them; all that the attack finds without a leak.
        still: share of those who left of whom the model is surer than the retrained one is, by more than two standard
            errors over the seeds.
        raised: the same share among those who stay.
    """

    before: Array
    after: Array
    retrained: Array
    still: float
    raised: float


def judge_forgetting(
    defence: Unlearning, recipe: Recipe, records: Records, strangers: Records, seeds: Sequence[int]
) -> Forgotten:
    """Compare models before and after forgetting with models that were trained again, on the same seeds.

    Args:
        defence: who leaves, and how they are forgotten.
        recipe: a torch recipe.
        records: whom the model is trained on.
        strangers: records of the same kind that no model sees.
        seeds: at least 3.

    Raises:
        InputError: fewer than 3 seeds, or nobody leaves.
    """
    leaves = leaving(records.ids, defence.share, defence.seed)
    if len(seeds) < 3 or not 0 < leaves.sum() < len(leaves):
        refuse(
            f"{len(seeds)} seeds and {leaves.sum()} of {len(leaves)} records that leave; use 3 or more, and a share."
        )
    kinds: list[list[Array]] = [[], [], []]
    found: list[list[float]] = [[], [], []]
    for seed in seeds:
        targets = (
            recipe.fit(records, seed),
            defence.fit(recipe, records, seed),
            recipe.fit(records.take(~leaves), seed),
        )
        for odds, aucs, target in zip(kinds, found, targets):
            own, theirs = sureness(target, records), sureness(target, strangers)
            odds.append(own)
            both = np.concatenate([own[leaves], theirs])
            aucs.append(float(roc_auc_score(np.arange(len(both)) < leaves.sum(), both)))
    above = np.array(kinds[1]) - np.array(kinds[2])
    surer = above.mean(axis=0) > 2 * above.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    before, after, retrained = map(np.array, found)
    return Forgotten(before, after, retrained, float(surer[leaves].mean()), float(surer[~leaves].mean()))


def sureness(target: Target, records: Records) -> Array:
    """Return the log odds (n,) that a model gives to the true class of each record."""
    scores = target.model.scores(records.x)
    sure = scores[np.arange(len(records)), records.y]
    others = scores.copy()
    others[np.arange(len(records)), records.y] = 0
    return np.log(np.maximum(sure, 1e-30)) - np.log(np.maximum(others.sum(axis=1), 1e-30))  # type: ignore[no-any-return]
