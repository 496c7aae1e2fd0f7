import numpy as np

from safelight.attacks.membership.loss import log_odds


def test_it_is_the_log_odds_of_the_label():
    scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    assert np.allclose(log_odds(scores, np.array([0, 2]), 1e-30), [np.log(0.7 / 0.3), np.log(0.25 / 0.75)])


def test_records_that_the_model_is_all_but_sure_of_are_kept_apart():
    hidden = np.array([1e-18, 1e-20, 1e-25])
    scores = np.stack([1 - hidden, hidden], axis=1)
    assert (scores[:, 0] == 1).all()
    assert np.allclose(log_odds(scores, np.zeros(3, int), 1e-30), -np.log(hidden))


def test_zeros_and_ones_stay_finite_and_in_order():
    scores = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    got = log_odds(scores, np.zeros(3, int), 1e-30)
    assert np.isfinite(got).all()
    assert (np.diff(got) < 0).all()
    assert np.isclose(got[0], -np.log(1e-30))


def test_a_hidden_label_scores_by_what_the_shown_ones_leave():
    top = np.array([[0.9, 0.0, 0.0], [0.5, 0.0, 0.0]])
    got = log_odds(top, np.array([1, 1]), 1e-30)
    assert np.allclose(got, [np.log(0.05 / 0.95), np.log(0.25 / 0.75)])
