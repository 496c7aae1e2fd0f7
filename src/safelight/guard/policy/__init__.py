"""guard.toml: what the guard lets through, looks for and does. One file a table."""

from safelight.guard.policy.acting import Actions
from safelight.guard.policy.budgets import Budget, Epsilons
from safelight.guard.policy.clients import Key
from safelight.guard.policy.failing import Fail, Route
from safelight.guard.policy.keeping import Checkpoints, Storing
from safelight.guard.policy.looking import Drifting, Signals
from safelight.guard.policy.noise import Noise
from safelight.guard.policy.outputs import Extras, Outputs
from safelight.guard.policy.reading import TABLES, parse_policy, read_policy
from safelight.guard.policy.upstream import Protocol, Upstream, Version, check_address
from safelight.guard.policy.whole import GuardPolicy

__all__ = [
    "TABLES",
    "Actions",
    "Budget",
    "Checkpoints",
    "Drifting",
    "Epsilons",
    "Extras",
    "Fail",
    "GuardPolicy",
    "Key",
    "Noise",
    "Outputs",
    "Protocol",
    "Route",
    "Signals",
    "Storing",
    "Upstream",
    "Version",
    "check_address",
    "parse_policy",
    "read_policy",
]
