"""The fast path for repeated values gives the p of the literal shuffle."""

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.permutation import membership_permutation_p


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_few_levels_agree_with_shuffling(shift):
    rng = np.random.default_rng(0)
    member = np.arange(400) < 150
    values = rng.choice([-1.0, 0.0, 1.0], 400) + np.where(member & (rng.random(400) < shift), 1.0, 0.0)
    fast = membership_permutation_p(values, member, rng, draws=20_000)
    gap = values[member].mean() - values[~member].mean()
    literal = []
    for _ in range(4_000):
        side = rng.permutation(member)
        literal.append(values[side].mean() - values[~side].mean() >= gap - 1e-12)
    assert fast == pytest.approx((1 + sum(literal)) / 4_001, abs=0.03)


def test_both_sides_are_needed():
    with pytest.raises(InputError, match="both sides need a row"):
        membership_permutation_p(np.ones(5), np.ones(5, bool), np.random.default_rng(0))
