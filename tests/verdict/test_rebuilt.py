import numpy as np

from safelight.evidence import Evidence, Origin, Rebuilt, Role, Scores
from safelight.threat import ThreatModel
from safelight.verdict.rebuilt import rebuilt_errors


def run(distances, secret, answer=None):
    origin = Origin("A005", {}, ThreatModel(), Role.COINS, "model", 0, 0, True)
    answer = answer or Rebuilt(np.zeros((1, 2)), np.zeros(1))
    return Evidence(origin, answer, -np.array([distances]), np.array([secret]))


def test_errors_are_those_of_the_true_candidate():
    runs = [run([1e-4, 5.0], 0), run([5.0, 0.3], 1), run([9.0, 2.0], 1)]
    error, exact = rebuilt_errors(runs, 0.05)
    assert error.value == 0.3
    assert exact.value == 1 / 3
    assert exact.low < 1 / 3 < exact.high


def test_other_answers_have_no_errors():
    assert rebuilt_errors([run([0.0, 1.0], 0, Scores(np.zeros((1, 2))))], 0.05) == ()
