import numpy as np

from safelight.attacks.confidence import confidence


def test_a_full_answer_is_read_as_it_is():
    scores = np.array([[0.7, 0.3, 0.0], [0.2, 0.2, 0.6]])
    assert confidence(scores, np.array([0, 1])).tolist() == [0.7, 0.2]
    assert confidence(scores[:1], np.array([2]))[0] < 1e-12


def test_what_a_short_answer_hides_is_shared_equally():
    top = np.array([[0.7, 0.0, 0.0, 0.0], [0.5, 0.4, 0.0, 0.0], [0.9, 0.0, 0.0, 0.0]])
    assert np.allclose(confidence(top, np.array([2, 3, 0])), [0.1, 0.05, 0.9])
    assert np.allclose(confidence(np.array([[0.8, 0.0]]), np.array([1])), 0.2)


def test_rounded_answers_that_sum_above_one_stay_chances():
    assert confidence(np.array([[0.6, 0.5, 0.0]]), np.array([2]))[0] == 0


def test_many_answers_a_record_keep_their_shape():
    scores = np.random.default_rng(0).dirichlet(np.ones(3), (5, 2))
    labels = np.array([[0, 1], [1, 1], [2, 0], [0, 0], [1, 2]])
    got = confidence(scores, labels)
    assert got.shape == (5, 2)
    assert got[2, 0] == scores[2, 0, 2]
