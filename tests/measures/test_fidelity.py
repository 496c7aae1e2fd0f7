"""Agreement of a copy with a model against literal counts."""

from math import comb

import numpy as np
import pytest

from safelight.errors import InputError
from safelight.measures.fidelity import closing_power, fidelity, more_alike_p, score_distances


def test_fidelity_is_the_share_of_equal_labels():
    found = fidelity(np.arange(100) < 93)
    assert found.value == 0.93
    assert (found.low, found.high) == pytest.approx((0.8611, 0.9714), abs=1e-4)


def test_the_distance_of_scores_is_total_variation():
    copy, model = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.5, 0.5]])
    assert score_distances(copy, model).tolist() == [1.0, 0.0]
    assert score_distances(np.array([0.25, 0.75]), model).tolist() == [0.25, 0.25]


def test_mcnemar_counts_the_records_on_which_one_agrees():
    copy = np.repeat([True, True, False, False], [50, 9, 2, 4])
    other = np.repeat([True, False, True, False], [50, 9, 2, 4])
    literal = sum(comb(11, right) for right in range(9, 12)) / 2**11
    assert more_alike_p(copy, other) == pytest.approx(literal)
    assert more_alike_p(copy, copy) == 1.0


def test_mcnemar_keeps_its_level():
    rng = np.random.default_rng(0)
    ps = [more_alike_p(rng.random(200) < 0.8, rng.random(200) < 0.8) for _ in range(2000)]
    assert np.mean(np.array(ps) <= 0.05) < 0.06


@pytest.mark.parametrize(("agreed", "n"), [(160, 200), (190, 200), (900, 1000)])
def test_power_is_that_of_simulated_copies(agreed, n):
    rng, level = np.random.default_rng(1), 0.01
    share = agreed / n
    found = [more_alike_p(rng.random(n) < 1 - (1 - share) / 2, rng.random(n) < share) <= level for _ in range(2000)]
    assert closing_power(agreed, n, 0.5, level) == pytest.approx(np.mean(found), abs=0.04)


def test_where_nothing_is_left_open_nothing_can_be_seen():
    assert closing_power(300, 300, 0.5, 0.01) == 0
    assert closing_power(298, 300, 0.5, 0.01) < 0.01


def test_impossible_arguments_are_refused():
    with pytest.raises(InputError, match="compared on the same records"):
        more_alike_p(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(InputError, match="closed is a part of the misses"):
        closing_power(5, 10, 0.0, 0.01)
