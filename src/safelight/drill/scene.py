"""The guard of a drill: the owner's policy, with clients of the drill's own, on a database of its own."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from safelight.drill.clock import START, Clock
from safelight.drill.server import live
from safelight.guard.calibration import load
from safelight.guard.exchange import App, Receive, Scope, Send
from safelight.guard.identity.trust import Trust
from safelight.guard.judge import Call
from safelight.guard.middleware import GuardMiddleware
from safelight.guard.policy import Budget, Drifting, GuardPolicy, Key, Protocol, Storing, Upstream
from safelight.guard.sight import Watches
from safelight.guard.store import Store

EVERY = 2**62  # rows of a log
OTHERS = 200
"""Harmless clients beside the attacker: what hits a large share of all clients may need a person's word."""


@dataclass
class Stage:
    """An ASGI app that plays whatever is put on it, so that one server serves a whole drill.

    Attributes:
        app: plays now.
        behind: hears when the server starts and stops; None where nobody need.
    """

    app: App
    behind: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
        elif self.behind is not None:
            await self.behind(scope, receive, send)
        else:
            await live(receive, send)


def rehearsed(policy: GuardPolicy, protocol: Protocol, keys: Sequence[str], cohorts: bool) -> GuardPolicy:
    """Return a policy as a drill plays it.

    Limits, outputs, signals and actions are the owner's; limits of single clients are not, since nobody here is one of
    them. Its clients are the attackers; where the owner names no clients, all who ask are one here, too. A slowed
    answer is not waited for, the work of a challenge is next to none, no alert is sent, nothing is recorded or signed.

    Args:
        policy: the owner's.
        protocol: that the model is served by.
        keys: of the attackers.
        cohorts: whether each is in a cohort of its own, or all in one: the first that has a budget, if one has.
    """
    clients, shared = {}, next(iter(policy.cohorts), "attackers")
    for number, key in enumerate(keys):
        digest = hashlib.sha256(key.encode()).hexdigest()
        cohort = f"attackers-{number}" if cohorts else shared
        clients[digest] = Key(f"attacker-{number}", sha256=digest, cohort=cohort)
    return replace(
        policy,
        upstream=Upstream(policy.upstream.url, protocol, policy.upstream.model),
        clients=clients if policy.names_clients else {},
        trust=Trust(),
        budgets={},
        actions=replace(policy.actions, delay=0.0, bits=1),
        signals=None if policy.signals is None else replace(policy.signals, record=None),
        drift=Drifting(),
        alerts=(),
        checkpoints=None,
    )


def name_of(policy: GuardPolicy) -> str:
    """Return the name that the drill's model has: one that the watch knows, where it knows any.

    Raises:
        InputError: the calibration cannot be read.
    """
    named, signals = policy.upstream.model, policy.signals
    if signals is None or signals.reference is None:
        return named or "model"
    known = list(load(policy.folder / signals.reference))
    return named if named in known else known[0]


def outputs_alone(policy: GuardPolicy) -> GuardPolicy:
    """Return a policy that hardens answers as this one does, and neither counts nor watches."""
    outputs = policy.outputs
    if outputs.noise is not None:
        outputs = replace(outputs, noise=replace(outputs.noise, epsilon_lifetime=None))
    return replace(policy, budget=Budget(), budgets={}, cohorts={}, models={}, signals=None, outputs=outputs)


@contextmanager
def guard(
    app: App, policy: GuardPolicy, clock: Clock, watch: Callable[[], Watches] | None = None, seed: int = 0
) -> Iterator[GuardMiddleware]:
    """Yield a guard before an app, with a database of its own, and take both away afterwards.

    The database knows `OTHERS` clients that are there all the time.

    Args:
        app: that is guarded.
        policy: in force.
        clock: of the drill.
        watch: makes what looks at sequences of calls; the policy's own when left out.
        seed: of the guard's key, which noise on answers is drawn from.

    Raises:
        InputError: the policy cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="drill") as folder:
        here = replace(policy, store=Storing(f"sqlite:///{Path(folder).resolve()}/guard.db"))
        key = Path(folder) / "guard.key"
        key.touch(0o600)
        key.write_text(hashlib.sha256(f"drill {seed}".encode()).hexdigest())
        watcher = None if watch is None else watch()
        made = GuardMiddleware(app, here, clock=clock.now, say=lambda words: None, watcher=watcher)
        try:
            for number in range(OTHERS):
                made.store.decide(policy, Call(f"other-{number}", "", "", START + 1e9, 1, b""))
            yield made
        finally:
            made.store.close()


def detected(store: Store) -> int | None:
    """Return how many records attackers had asked about when the first alarm rang, or None; raises StoreFailed."""
    asked = 0
    for row in reversed(store.tail(EVERY)):
        facts = json.loads(row.text)
        if facts["what"] == "alarm":
            return asked
        if facts["what"] == "call" and facts["verdict"] == "allowed" and not facts["client"].startswith("other-"):
            asked += facts["records"]
    return None
