"""The copy is taught with labels and with scores alike."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from safelight.attacks.stealing.student import linear, taught
from safelight.targets.base import softmax


def test_the_linear_student_is_logistic_regression():
    rng = np.random.default_rng(0)
    x, ridge = rng.standard_normal((300, 4)), 0.01
    y = (x @ rng.standard_normal((4, 3)) + rng.gumbel(size=(300, 3))).argmax(axis=1)
    ours = linear(x, np.eye(3)[y], ridge)(x)
    literal = LogisticRegression(C=1 / (ridge * 300), tol=1e-8, max_iter=5000).fit(x, y).predict_proba(x)
    assert np.abs(ours - literal).max() < 2e-3


def test_scores_teach_what_as_many_weighted_labels_teach():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((80, 3))
    scores = softmax(x @ rng.standard_normal((3, 3)))
    ours = linear(x, scores, 0.01)(x)
    weighted = LogisticRegression(C=1 / (0.01 * 80), tol=1e-8, max_iter=5000)
    weighted.fit(np.repeat(x, 3, axis=0), np.tile(np.arange(3), 80), scores.ravel())
    assert np.abs(ours - weighted.predict_proba(x)).max() < 2e-3


@pytest.mark.parametrize("bent", [False, True])
def test_the_better_student_is_taken(bent):
    rng = np.random.default_rng(2)
    x, asked = rng.uniform(-1, 1, (400, 2)), rng.uniform(-1, 1, (400, 2))

    def rule(rows):
        return ((rows[:, 0] * rows[:, 1] > 0) if bent else (rows[:, 0] + rows[:, 1] > 0)).astype(int)

    copy = taught(x, np.eye(2)[rule(x)], rng)(asked)
    assert copy.sum(axis=1) == pytest.approx(1)
    assert (copy.argmax(axis=1) == rule(asked)).mean() > (0.9 if bent else 0.97)


def test_one_answer_is_enough():
    copy = taught(np.ones((1, 2)), np.array([[0.0, 1.0]]), np.random.default_rng(0))
    assert copy(np.zeros((3, 2))).argmax(axis=1).tolist() == [1, 1, 1]
