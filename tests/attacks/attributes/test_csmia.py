import numpy as np
import pytest

from safelight.attacks.attributes.csmia import Csmia
from safelight.errors import AccessDenied
from safelight.threat import Access, ThreatModel


def the_papers_guess(scores, label):
    """Mehnaz et al. 2022: scores (k, classes) of one record; returns the case and the guessed value."""
    predicted, sure = scores.argmax(axis=1), scores.max(axis=1)
    right = [v for v in range(len(scores)) if predicted[v] == label]
    if len(right) == 1:
        return 1, right[0]
    if right:
        return 2, max(right, key=lambda v: sure[v])
    return 3, int(np.argmin(sure))


def run(help, scores, y, names, **threat):
    target, question, _ = help.scripted(scores, y, classes=names)
    view = target.view(ThreatModel(Access.SCORES, **threat))
    return Csmia().run(view, question, np.random.default_rng(0)).values


@pytest.mark.parametrize(
    ("classes", "values", "top_k", "cases"),
    [(2, 2, None, (1, 2, 3)), (2, 4, None, (1, 2, 3)), (5, 2, None, (1, 2)), (5, 3, 1, (1, 2, 3))],
)
def test_the_guess_is_the_papers(help, classes, values, top_k, cases):
    rng = np.random.default_rng(classes)
    scores, y = rng.dirichlet(np.ones(classes), (400, values)), rng.integers(0, classes, 400)
    got = run(help, scores, y, tuple("abcde"[:classes]), top_k=top_k)
    paper = [the_papers_guess(scores[row], y[row]) for row in range(400)]
    judged = [row for row in range(400) if paper[row][0] in cases]
    assert {paper[row][0] for row in judged} == set(cases)
    assert [int(got[row].argmax()) for row in judged] == [paper[row][1] for row in judged]


def test_the_margin_is_the_log_ratio_of_confidences_in_the_label(help):
    scores = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.8, 0.2]], [[0.4, 0.6], [0.3, 0.7]]])
    got = run(help, scores, np.array([0, 0, 0]), ("a", "b"))
    assert np.allclose(got[:, 0] - got[:, 1], np.log([0.91 / 0.21, 0.61 / 0.81, 0.41 / 0.31]))
    assert np.allclose(got.sum(axis=1), 0)


def test_a_guess_against_the_confidences_stands_with_next_to_no_margin(help):
    # Only value 0 predicts label 0, though value 1 gives label 0 more: case 1 against the confidences.
    scores = np.array([[[0.3, 0.25, 0.25, 0.2], [0.4, 0.5, 0.1, 0.0]]])
    got = run(help, scores, np.array([0]), ("a", "b", "c", "d"))[0]
    assert got.argmax() == 0
    assert 0 < got[0] - got[1] < 1e-6


def test_a_regressor_is_refused_with_the_attack_to_use_instead(help):
    target, question, model = help.scripted(np.zeros((4, 2)), np.zeros(4), classes=())
    with pytest.raises(AccessDenied, match="the target is a regressor; use A001 instead"):
        Csmia().run(target.view(ThreatModel(Access.SCORES)), question, np.random.default_rng(0))
    assert model.asked == []


def test_answers_of_one_decimal_still_give_most_secrets_away(help):
    from safelight.recipes.sklearn import SklearnRecipe

    records, secret = help.survey(300, seed=1)
    target = SklearnRecipe(help.forest(60)).fit(records, seed=0)
    view = target.view(ThreatModel(Access.SCORES, decimals=1))
    answer = Csmia().run(view, help.asked(records), np.random.default_rng(0))
    right, guesses = help.surest(answer, secret)
    assert right > 0.85 * guesses
