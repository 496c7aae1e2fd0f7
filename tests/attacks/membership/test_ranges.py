"""Range membership: the highest views beside a literal sum, and a leak that only one view of nine shows."""

import numpy as np
import pytest

from safelight.attacks.membership.ranges import RangeMembership, highest
from safelight.compute.shadows import ShadowPool
from safelight.controls.coins.ranges import RangeCoins
from safelight.data.records import Splits
from safelight.errors import InputError
from safelight.evidence import WhichRanges
from safelight.targets.base import Images, Side
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel


def test_the_highest_views_are_averaged():
    scores = np.random.default_rng(0).normal(size=(9, 20))
    for top in (1, 3, 9, 12):
        literal = [sum(sorted(column, reverse=True)[:top]) / min(top, 9) for column in scores.T]
        np.testing.assert_allclose(highest(scores, top), literal)


@pytest.fixture(scope="module")
def leak(digits):
    """Return a draw and the door of a model that knows its records pixel by pixel, and nothing near them."""
    order = np.random.default_rng(0).permutation(len(digits))
    splits = Splits(digits.take(order[:400]), digits.take(order[400:600]))
    recipe = LeakyRecipe(Images((1, 8, 8)), pictures=False)
    draw = RangeCoins().flip(splits, np.random.default_rng(1))
    target = recipe.fit(draw.train, 0)
    return draw, lambda **threat: target.view(ThreatModel(Access.SCORES, **threat), Side(shadows=ShadowPool(recipe)))


def right(draw, answer):
    return (draw.match(answer).argmax(axis=1) == draw.secret).mean()


def test_the_range_shows_what_the_copy_alone_does_not(leak):
    draw, door = leak
    rng = np.random.default_rng(2)
    view = door()
    assert right(draw, RangeMembership(4).run(view, draw.question, rng)) > 0.9
    assert view.spent == 9 * len(draw.secret)
    alone = WhichRanges(draw.question.records, reach=0)
    assert 0.4 < right(draw, RangeMembership(4).run(door(), alone, rng)) < 0.6


def test_records_beyond_the_budget_get_the_median(leak):
    draw, door = leak
    view = door(queries=9 * 100 + 5)
    values = RangeMembership(4).run(view, draw.question, np.random.default_rng(2)).values[:, 0]
    assert view.spent == 900
    assert (values == np.median(values)).sum() >= len(values) - 100


def test_no_view_at_all_is_refused(leak):
    draw, door = leak
    with pytest.raises(InputError, match="top is 0; average at least 1 view"):
        RangeMembership(top=0).run(door(), draw.question, np.random.default_rng(0))
