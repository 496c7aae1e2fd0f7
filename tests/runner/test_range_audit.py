"""Ranges in a whole audit: pictures alone, by coins, with the budget of the attacker."""

import numpy as np

import safelight as sl
from safelight.report.model import Status
from safelight.targets.base import Images
from safelight.targets.fake import LeakyRecipe


def pictures(digits):
    order = np.random.default_rng(0).permutation(len(digits))
    groups = (digits.take(rows) for rows in np.split(order[:1100], [400, 800]))
    return sl.Splits(*groups, drawn=sl.Split.RANDOM), LeakyRecipe(Images((1, 8, 8)), pictures=False)


def audit(digits, **threat):
    splits, recipe = pictures(digits)
    target = recipe.fit(splits.members, 0)
    return sl.audit(target, splits, sl.ThreatModel(sl.Access.SCORES, **threat), recipe=recipe, only=["M010"], seed=0)


def test_a_model_that_knows_its_pictures_leaks_their_ranges(digits):
    (finding,) = audit(digits).findings
    assert (finding.code, finding.claim, finding.status) == ("M010", "membership", Status.LEAK)


def test_the_coins_are_as_many_as_the_budget_pays_for(digits):
    (finding,) = audit(digits, queries=9 * 15).findings
    assert finding.status is Status.NOT_RUN
    assert finding.reason == "coins over records need at least 20 of them and one run has 15"
