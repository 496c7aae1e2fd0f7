"""Pure functions from counts and scores to numbers that carry their interval, floor and control.

The names below are loaded when they are first asked for, so that `import safelight` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from safelight.measures.base import Measurement

if TYPE_CHECKING:
    from safelight.measures.gaussian_dp import epsilon_of_mu, mu_of_epsilon
    from safelight.measures.one_run import epsilon_one_run, mu_one_run

__all__ = ["Measurement", "epsilon_of_mu", "epsilon_one_run", "mu_of_epsilon", "mu_one_run"]

_HOMES = {
    "epsilon_of_mu": "gaussian_dp",
    "mu_of_epsilon": "gaussian_dp",
    "epsilon_one_run": "one_run",
    "mu_one_run": "one_run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"safelight.measures.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'safelight.measures' has no attribute {name!r}")
