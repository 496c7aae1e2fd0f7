"""A whole guard.toml, as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from safelight.guard.alerts.settings import AlertRoute
from safelight.guard.identity.trust import Trust
from safelight.guard.policy.acting import Actions
from safelight.guard.policy.budgets import Budget
from safelight.guard.policy.clients import Key
from safelight.guard.policy.failing import Fail, Route, is_plain
from safelight.guard.policy.keeping import Checkpoints, Measuring, Storing
from safelight.guard.policy.looking import Drifting, Signals
from safelight.guard.policy.outputs import Outputs
from safelight.guard.policy.upstream import Upstream


@dataclass(frozen=True)
class GuardPolicy:
    """A whole guard.toml.

    Attributes:
        folder: where its relative paths start.
        header: of a request, that holds the client's key; `Bearer` before it is left out.
        clients: by the SHA-256 of their keys. Without any, and without `trust`, all who ask are one client.
        trust: what is believed beside keys.
        budgets: of single clients, by id; what is left out there is as in `budget`.
        cohorts: budgets that all clients of a cohort share, by its name.
        models: budgets of each client for one model, by its name.
        routes: the longest path first.
        signals: None where the file has no such table.
        alerts: where alerts go.
        metrics: where OpenMetrics are read.
    """

    upstream: Upstream
    folder: Path = field(default_factory=Path)
    header: str = "authorization"
    clients: Mapping[str, Key] = field(default_factory=dict)
    trust: Trust = field(default_factory=Trust)
    budget: Budget = field(default_factory=Budget)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    cohorts: Mapping[str, Budget] = field(default_factory=dict)
    models: Mapping[str, Budget] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    outputs: Outputs = field(default_factory=Outputs)
    signals: Signals | None = None
    actions: Actions = field(default_factory=Actions)
    drift: Drifting = field(default_factory=Drifting)
    alerts: tuple[AlertRoute, ...] = ()
    metrics: Measuring = field(default_factory=Measuring)
    fail: Fail = Fail.CLOSED
    store: Storing = field(default_factory=Storing)
    checkpoints: Checkpoints | None = None

    @property
    def names_clients(self) -> bool:
        """Whether who asks must show who it is."""
        return bool(self.clients) or bool(self.trust)

    @property
    def takes_keys(self) -> bool:
        """Whether `header` is the guard's own: a key or a token stands there, which goes no further."""
        return bool(self.clients) or self.trust.jwt is not None

    def budget_of(self, client: str) -> Budget:
        """Return a client's own budget."""
        return self.budgets.get(client, self.budget)

    def at(self, path: str) -> GuardPolicy:
        """Return what holds for a path. One that could be read in two ways belongs to no route, and fails closed."""
        if not self.routes:
            return self
        if not is_plain(path):
            return replace(self, fail=Fail.CLOSED)
        route = next((route for route in self.routes if route.holds(path)), None)
        return self if route is None else replace(self, fail=route.fail, outputs=route.outputs)

    @property
    def database(self) -> Path:
        """The SQLite file; guard.db where the policy names another database."""
        return self.folder / (self.store.url.removeprefix("sqlite:///") if not self.store.shared else "guard.db")
