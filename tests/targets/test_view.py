"""The metered door: it answers what the attacker may see, counts every query, and shuts at the budget."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from safelight.errors import AccessDenied, BadAnswer, BudgetSpent
from safelight.targets.base import Images, Target
from safelight.threat import Access, ThreatModel


@dataclass(frozen=True)
class Fixed:
    answer: np.ndarray
    access: Access = Access.SCORES
    classes: tuple[str, ...] = ("a", "b", "c")
    inputs: Images = field(default_factory=lambda: Images((1, 2, 2)))

    def scores(self, x):
        return np.repeat(self.answer[None], len(x), axis=0)

    def labels(self, x):
        return self.scores(x).argmax(1)


def door(answer=(0.5, 0.3, 0.2), **threat):
    return Target("t", Fixed(np.array(answer))).view(ThreatModel(**{"access": Access.SCORES, **threat}))


X = np.zeros((4, 1, 2, 2), np.float32)


def test_every_record_is_counted_and_nothing_is_sent_beyond_the_budget():
    view = door(queries=10)
    view.scores(X)
    view.labels(X)
    assert (view.spent, view.left()) == (8, 2)
    with pytest.raises(BudgetSpent, match="holds 4 records and 2 of 10 queries are left"):
        view.scores(X)
    assert view.spent == 8, "a refused batch costs nothing"
    view.scores(X[:2])
    assert view.left() == 0


def test_less_access_is_refused_and_says_what_to_set():
    view = door(access=Access.LABEL)
    assert (view.labels(X) == 0).all()
    with pytest.raises(AccessDenied, match='set access = "scores"'):
        view.scores(X)
    with pytest.raises(AccessDenied, match="the target can show no more than scores"):
        door(access=Access.WEIGHTS).logits(X)
    assert view.spent == 4


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        ({"top_k": 1}, (0.5, 0, 0)),
        ({"top_k": 2}, (0.5, 0.3, 0)),
        ({"decimals": 0}, (0, 0, 0)),
        ({"top_k": 3, "decimals": 1}, (0.5, 0.3, 0.2)),
    ],
)
def test_scores_are_shortened_and_rounded_as_the_threat_model_says(limits, seen):
    np.testing.assert_allclose(door(**limits).scores(X)[0], seen)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((np.nan, 0.5, 0.5), "NaN or infinity for 4 of 4 records"),
        ((3.0, 1.0, -2.0), 'set output = "logits"'),
        ((0.5, 0.5), "shape \\(4, 2\\), not \\(4, 3\\)"),
    ],
)
def test_answers_that_cannot_be_probabilities_are_one_clear_sentence(answer, message):
    with pytest.raises(BadAnswer, match=message):
        door(answer).scores(X)


def test_with_the_weights_in_hand_queries_are_free():
    view = door(access=Access.WEIGHTS, queries=1)
    view.scores(X)
    assert view.spent == 0


def test_kept_answers_are_filed_under_the_queries_spent():
    view = door()
    view.keep("first")
    view.scores(X)
    view.keep("later")
    assert view.kept == {0: "first", 4: "later"}
