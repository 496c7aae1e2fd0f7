"""A copy counts as stolen where it agrees more than one that asked nothing."""

import numpy as np
import pytest

from safelight.verdict.fidelity import of_fidelity
from safelight.verdict.levels import Policy

LABELS = np.random.default_rng(0).integers(0, 2, 400)


def agreeing(share, seed=1):
    """Return scores of a copy that agrees with the labels on this share."""
    wrong = np.random.default_rng(seed).permutation(len(LABELS)) >= share * len(LABELS)
    return np.eye(2)[np.where(wrong, 1 - LABELS, LABELS)]


def judged(copy, unasked, labels=LABELS, **given):
    return of_fidelity(copy, unasked, labels, given.get("scores"), given.get("curve", {}), 500, 0.01, Policy())


def test_a_better_copy_is_a_leak_and_an_equal_one_is_none():
    stolen, equal = judged(agreeing(0.98), agreeing(0.8, 2)), judged(agreeing(0.8), agreeing(0.8, 2))
    found = {item.name: item for item in stolen.measured}
    assert stolen.p < 1e-6
    assert found["fidelity"].value == pytest.approx(0.98, abs=0.003)
    assert found["fidelity"].control == pytest.approx(0.8, abs=0.003)
    assert stolen.bound == pytest.approx(found["fidelity"].low - found["fidelity"].control)
    assert equal.p > 0.05
    assert equal.powered


def test_one_label_for_all_is_a_control_too():
    """A copy of a model that nearly always says the same is no theft, however often it agrees."""
    rare = (np.arange(400) < 8).astype(int)
    outcome = judged(np.tile([1.0, 0.0], (400, 1)), agreeing(0.5), rare)
    assert outcome.measured[0].value == outcome.measured[0].control == 0.98
    assert outcome.p == 1.0
    assert not outcome.powered
    assert "more nonmembers would settle it" in outcome.settle


def test_the_curve_and_the_distance_of_scores_stand_beside_it():
    outcome = judged(agreeing(0.98), agreeing(0.8, 2), scores=np.eye(2)[LABELS],
                     curve={100: agreeing(0.9), 500: agreeing(0.98)})  # fmt: skip
    found = {item.name: item for item in outcome.measured}
    assert list(found) == ["fidelity", "queries", "same_scores", "score_distance", "fidelity_at_100"]
    assert found["fidelity_at_100"].value == pytest.approx(0.9, abs=0.003)
    assert found["score_distance"].value == pytest.approx(0.02, abs=0.003)
    assert found["score_distance"].control == pytest.approx(0.2, abs=0.003)


def test_exact_scores_are_a_theft_where_labels_say_little():
    sure = np.eye(2)[LABELS] * 0.4 + 0.3
    outcome = judged(sure, np.eye(2)[LABELS] * 0.5 + 0.25, scores=sure)
    found = {item.name: item for item in outcome.measured}
    assert found["fidelity"].value == found["fidelity"].control == 1.0
    assert (found["same_scores"].value, found["same_scores"].control) == (1.0, 0.0)
    assert outcome.p < 1e-6
    assert outcome.bound > 0.9


def test_scores_at_random_are_not_taken_for_copied():
    """A copy that only learnt how large scores are is no theft."""
    rng, ps = np.random.default_rng(3), []
    for _ in range(300):
        one = rng.random(400)
        scores = np.column_stack([1 - one, one])
        copy, alone = np.tile([0.5, 0.5], (400, 1)), np.eye(2)[rng.integers(0, 2, 400)]
        ps.append(
            judged(copy + 0.01 * rng.standard_normal((400, 1)) * [1, -1], alone, scores.argmax(axis=1), scores=scores).p
        )
    assert np.mean(np.array(ps) <= 0.05) <= 0.06
