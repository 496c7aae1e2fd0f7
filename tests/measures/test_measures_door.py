from __future__ import annotations

import subprocess
import sys

import pytest

import safelight.measures


def test_fixed_names() -> None:
    from safelight.measures import Measurement, epsilon_of_mu, epsilon_one_run, mu_of_epsilon, mu_one_run

    assert epsilon_one_run(20, 20, 20, delta=1e-5, confidence=0.95) == pytest.approx(1.8221, abs=5e-5)
    assert mu_one_run(20, 20, 20, candidates=2, confidence=0.95) == pytest.approx(1.0698, abs=5e-5)
    assert mu_of_epsilon(epsilon_of_mu(1.0, 1e-5), 1e-5) == pytest.approx(1.0)
    assert Measurement("mu", 1.0).low is None
    assert set(safelight.measures.__all__) == {
        "Measurement",
        "epsilon_of_mu",
        "epsilon_one_run",
        "mu_of_epsilon",
        "mu_one_run",
    }


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'epsilon'"):
        safelight.measures.epsilon  # noqa: B018


def test_door_loads_nothing_heavy() -> None:
    code = "import sys, safelight.measures; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.strip() == "[]"


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
