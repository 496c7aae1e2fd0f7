"""Safelight shows what a machine-learning model still reveals of its training data, and proves it against a control.

import safelight as sl

target = sl.Target.from_sklearn(model, members.x)
report = sl.audit(target, sl.Splits(members, nonmembers), sl.ThreatModel(sl.Access.SCORES, queries=1_000))
report.save("report.html")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safelight.compute.engine import Engine
    from safelight.data.records import Records, Split, Splits
    from safelight.report.model import Report
    from safelight.runner import Profile, audit
    from safelight.targets.base import Images, Side, Table, Target
    from safelight.threat import Access, Knows, ThreatModel
    from safelight.verdict.levels import Policy

_ROOMS = {
    "Access": "threat",
    "Engine": "compute.engine",
    "Images": "targets.base",
    "Knows": "threat",
    "Policy": "verdict.levels",
    "Profile": "runner",
    "Records": "data.records",
    "Report": "report.model",
    "Side": "targets.base",
    "Split": "data.records",
    "Splits": "data.records",
    "Table": "targets.base",
    "Target": "targets.base",
    "ThreatModel": "threat",
    "audit": "runner",
}

__all__ = [
    "Access",
    "Engine",
    "Images",
    "Knows",
    "Policy",
    "Profile",
    "Records",
    "Report",
    "Side",
    "Split",
    "Splits",
    "Table",
    "Target",
    "ThreatModel",
    "audit",
]


def __getattr__(name: str) -> Any:
    """Import a room when its first name is used: `import safelight` costs nothing."""
    if name == "defences":
        return import_module("safelight.defences")
    if name not in _ROOMS:
        raise AttributeError(f"module 'safelight' has no attribute {name!r}")
    return getattr(import_module(f"safelight.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
