"""A limit in words, the search for a setting that meets it, and its confirmation on fresh coins."""

import numpy as np
import pytest
from leaks import Leaks
from scipy.stats import binom

from safelight.data.records import Records, Split, Splits
from safelight.errors import InputError
from safelight.measures.reidentification import success_among
from safelight.targets.base import Images
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, ThreatModel
from safelight.tradeoff.case import Case
from safelight.tradeoff.limit import Limit, limit_of
from safelight.tradeoff.recommend import recommend

SHAPE = Images((1, 4, 4))


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    x, y = rng.random((1200, 1, 4, 4)), np.arange(1200) % 2
    everyone = Records.of(x, y)
    splits = Splits(everyone.take(np.arange(600)), everyone.take(np.arange(600, 1200)), drawn=Split.RANDOM)
    return Case(splits, ThreatModel(Access.SCORES), LeakyRecipe(SHAPE, pictures=False, leak=1.0), only=("M001",))


def test_words_become_limits():
    assert limit_of("re-identification among 40 <= 10 %") == Limit("re-identification", 40, 0.1)
    assert limit_of("attribute <= 0.6") == Limit("attribute", 2, 0.6)
    assert str(limit_of("Membership at most 55%")) == "membership among 2 <= 55 %"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no leak please", "write it like"),
        ("re-identification among 40 <= 2 %", "chance among 40"),
        ("extraction <= 60 %", "not known"),
        ("attribute among 1 <= 60 %", "at least 2"),
    ],
)
def test_words_that_are_no_limit_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        limit_of(text)


def test_the_setting_that_leaks_least_is_chosen_and_confirmed(case):
    chains = [(Leaks(leak),) for leak in (0.5, 0.2, 0.0)]
    found = recommend(case, chains, limit_of("membership <= 60 %"), 0.1, start=1, runs=3)
    assert found.chosen is not None
    assert found.chosen.name == "leaks"
    assert found.chosen.most is not None
    assert found.chosen.most <= 0.6
    assert found.tried[-1].name == "none"


def test_a_limit_that_nothing_meets_is_said_with_what_comes_closest(case):
    found = recommend(case, [(Leaks(0.9),)], limit_of("membership <= 60 %"), 0.1, start=1, runs=2)
    assert found.chosen is None
    assert found.reason == "no setting meets the limit"
    assert found.closest is not None
    assert found.closest.name == "leaks(leak=0.9)"


def test_an_audit_too_small_to_tell_says_how_many_runs_would_do(case):
    found = recommend(case, [(Leaks(0.0),)], limit_of("membership <= 51 %"), 0.1, start=1, runs=1)
    assert found.chosen is None
    if found.closest is not None and found.closest.found <= 0.51:
        assert "too small" in found.reason
        assert "runs would do" in found.reason


def test_an_accuracy_that_nothing_has_is_said(case):
    found = recommend(case, [(Leaks(0.0),)], limit_of("membership <= 60 %"), 0.999)
    assert (found.chosen, found.closest) == (None, None)
    assert "no setting has an accuracy of 99.9 %" in found.reason


def test_confirmed_limits_hold_as_often_as_they_say():
    """The confirmation alone, on leaks of known size: at most 5 % of what is confirmed is above the limit."""
    from safelight.measures.reidentification import most_found

    rng, wrong = np.random.default_rng(3), 0
    for _ in range(1000):
        true = rng.uniform(0.5, 0.75)
        confirmed = next(
            (
                True
                for _ in range(3)
                if most_found(int(binom.rvs(200, true, random_state=rng)), 200, 2, 1 - 0.05 / 3) <= 0.62
            ),
            False,
        )
        wrong += confirmed and true > 0.62
    assert wrong / 1000 <= 0.05
    assert success_among(0.0, 2) == 0.5


@pytest.mark.parametrize(("least", "words"), [(1.5, "1.5"), (0.0, "0.0")])
def test_an_impossible_accuracy_is_refused(case, least, words):
    with pytest.raises(InputError, match=words):
        recommend(case, [], limit_of("membership <= 60 %"), least)
