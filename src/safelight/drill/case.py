"""What a drill attacks, as whom, behind which guard, and where it keeps what it found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from safelight.attacks.base import Attack
from safelight.compute.engine import Engine
from safelight.compute.ledger import Ledger, key_of
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Splits
from safelight.drill.adaptive import Disguise, Plain
from safelight.drill.replay import Server
from safelight.drill.scene import Stage, name_of
from safelight.drill.server import ModelServer, serving
from safelight.evidence import Store
from safelight.guard.policy import GuardPolicy, Protocol
from safelight.guard.sight import Watches
from safelight.recipes.base import Recipe
from safelight.runner.session import Profile, Session, with_public
from safelight.targets.base import Model, Target
from safelight.threat import Access, ThreatModel
from safelight.verdict.levels import Policy


@dataclass(frozen=True)
class Drill:
    """One drill's inputs.

    Attributes:
        target: the model; without a recipe it is served as it is, and no mu is measured.
        splits: members and nonmembers, and public records where there are some.
        threat: the attacker; it sees no more than scores here.
        policy: of the guard.
        recipe: how the model is trained again, for coins; or None.
        seed: the same seed gives the same drill.
        runs: trainings for each attack (>= 1).
        only: beginnings of attack codes; all that fit when empty.
        tuned: attacks with settings of their owner's.
        ways: how each attack asks.
        live: address of a running server, which is attacked through the guard instead of serving `target`; or None.
        protocol: of that server.
        batch: records of one question (>= 1); fewer where a limit of the policy is smaller.
        days: of the drill's clock, after which an attacker gives up waiting.
        watch: makes what looks at sequences of calls, in place of the policy's own.
        out: folder for evidence, or None to keep it in memory.
        engine: where reference models are trained.
        say: called with one line of progress.
    """

    target: Target
    splits: Splits
    threat: ThreatModel
    policy: GuardPolicy
    recipe: Recipe | None = None
    seed: int = 0
    runs: int = 3
    only: tuple[str, ...] = ()
    tuned: tuple[Attack, ...] = ()
    ways: tuple[Disguise, ...] = (Plain(),)
    live: str | None = None
    protocol: Protocol = Protocol.OIP
    batch: int = 16
    days: float = 365.0
    watch: Callable[[], Watches] | None = None
    out: Path | None = None
    engine: Engine = field(default_factory=Engine)
    say: Callable[[str], None] = lambda line: None

    def session(self) -> Session:
        """Return what the attacks work with; evidence of another policy, model or seed is not mixed in."""
        splits = with_public(self.splits, np.random.default_rng([self.seed, 11]))
        threat = replace(self.threat, access=min(self.threat.access, Access.SCORES))
        folder = None if self.out is None else self.out / "evidence" / self._key(splits, threat)[:16]
        ledger = Ledger(None if self.out is None else self.out / "ledger")
        shadows = None if self.recipe is None else ShadowPool(self.recipe, self.seed, ledger, self.engine)
        return Session(
            self.target, splits, threat, self.recipe, Policy(), self.seed, Profile.DEEP, self.only, (),
            {attack.code: attack for attack in self.tuned}, None, False, Store(folder), shadows, ledger, self.say,
            engine=self.engine,
        )  # fmt: skip

    @contextmanager
    def server(self) -> Iterator[Callable[[Target], Server]]:
        """Start the one server of a drill; yields what puts a model on it."""
        if self.live is not None:
            yield from self._before(self.live)
            return
        name = name_of(self.policy)
        stage = Stage(nobody)
        with serving(stage) as url:

            def serve(target: Target) -> Server:
                records = self.splits.members.x
                app = ModelServer(target.model, records if isinstance(records, pd.DataFrame) else None, name)
                return Server(stage, app, url + app.path, target.model, name, options=_options(target.model))

            yield serve

    def _before(self, live: str) -> Iterator[Callable[[Target], Server]]:
        from safelight.guard.proxy import Upstream

        parts = urlsplit(live)
        upstream = Upstream(f"{parts.scheme}://{parts.netloc}")
        stage = Stage(upstream, upstream)
        with serving(stage) as url:
            where = url + parts.path
            yield lambda target: Server(
                stage, upstream, where, target.model, live, self.protocol, _options(target.model)
            )

    def _key(self, splits: Splits, threat: ThreatModel) -> str:
        """Return the key of all that decides what the evidence is."""
        groups = ["" if group is None else group.digest for group in (splits.members, splits.nonmembers, splits.public)]
        policy = {name: value for name, value in vars(self.policy).items() if name not in ("folder", "store")}
        signals, reference = self.policy.signals, b""
        if signals is not None and signals.reference is not None and (self.policy.folder / signals.reference).is_file():
            reference = (self.policy.folder / signals.reference).read_bytes()
        facts: list[Any] = [
            "" if self.recipe is None else self.recipe.key,
            self.live or self.target.name,
            (self.seed, self.batch, self.days),
            {name: value for name, value in vars(threat).items() if name != "knows"},
            sorted(word.name for word in threat.knows),
            (groups, splits.sensitive, splits.class_is_person),
            policy,
            hashlib.sha256(reference).hexdigest(),
            sorted(map(repr, self.tuned)),
            sorted(map(repr, self.ways)),
        ]
        return key_of(*map(repr, facts))


def _options(model: Model) -> dict[str, Any]:
    return {"output": "labels"} if model.classes and model.access < Access.SCORES else {}


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """Answer nothing: an app for a server before a model is on it."""
    raise RuntimeError("nothing is on the stage yet")
