"""One attack on one trained model, without a guard and behind it, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.attacks.base import Attack, settings
from safelight.controls.coins.base import Draw
from safelight.data.records import Records
from safelight.drill.adaptive import Attacker, Disguise
from safelight.drill.clock import Clock
from safelight.drill.hands import Opens, Refused
from safelight.drill.scene import Stage, detected, guard, outputs_alone, rehearsed
from safelight.evidence import Answer, Evidence, Origin, Question, Role, Scores
from safelight.guard.exchange import App
from safelight.guard.policy import GuardPolicy, Protocol
from safelight.guard.sight import Watches
from safelight.runner.coin_runs import REFUSALS
from safelight.runner.session import Session
from safelight.targets.base import Model, Target, View
from safelight.threat import ThreatModel

NEVER = -1
"""Stands in evidence for what did not happen."""


@dataclass(frozen=True)
class Server:
    """The server of a drill, and what is on it.

    Attributes:
        stage: the app that it serves.
        app: the model's own, without a guard.
        url: of the model on it.
        model: behind it, as its clients know it.
        name: of the model, for evidence.
        protocol: that it speaks.
        options: more for `Target.from_http`.
    """

    stage: Stage
    app: App
    url: str
    model: Model
    name: str
    protocol: Protocol = Protocol.OIP
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What an attack is told, and how its answer is read.

    Attributes:
        question: of it.
        secret: (m,) the truth, or None where there is none to be matched.
        draw: the coins behind it, or None.
        unit, adjacency: of the coins.
    """

    question: Question
    draw: Draw | None = None
    unit: str = "record"
    adjacency: str = "none"

    def evidence(self, answer: Answer | None, origin: Origin, extra: dict[str, Array]) -> Evidence:
        """Return an answer joined with the secret; None for an attack that learnt nothing and guesses."""
        if self.draw is None:
            return Evidence(origin, Scores(np.zeros((0, 1))) if answer is None else answer, extra=extra)
        blank = np.zeros((len(self.draw.secret), self.draw.k))
        belief = blank if answer is None else self.draw.match(answer)
        kept = Scores(blank) if answer is None else answer
        return Evidence(origin, kept, belief, self.draw.secret, self.draw.k, self.unit, self.adjacency, extra=extra)


@dataclass(frozen=True)
class Replay:
    """How attacks are replayed.

    Attributes:
        session: of the attacks: data, threat, seed.
        policy: the owner's.
        batch: records of one question; fewer where a limit of the policy is smaller.
        days: of the drill's clock, after which a client gives up waiting.
        pace: seconds between two questions.
        watch: makes what looks at sequences of calls; the policy's own when left out.
    """

    session: Session
    policy: GuardPolicy
    batch: int = 16
    days: float = 365.0
    pace: float = 0.05
    watch: Callable[[], Watches] | None = None

    def unguarded(self, attack: Attack, told: Told, server: Server, seed: int, run: int, way: Disguise) -> Evidence:
        """Attack the bare server; `extra` says how many records were sent, all of them answered."""
        server.stage.app = server.app
        with self._attacker(server, self.policy, way, Clock(), seed, keyed=False) as (attacker, door):
            threat = self.session.threat_of(attack)
            answer, view = self._run(attack, told, server, attacker, threat, seed)
            return told.evidence(
                answer, _origin(attack, threat, server, seed, view, run), {"sent": _number(door.answered)}
            )

    def guarded(self, attack: Attack, told: Told, server: Server, seed: int, run: int, way: Disguise) -> Evidence:
        """Attack behind the guard until the end, or until the guard lets it ask no more.

        In the second case the attack is run again on answers that are hardened in the same way, planned for just as
        many records as were answered: the attacker who knows when the guard will shut learns no less than any other.

        Returns:
            Evidence whose `extra` holds: sent (records answered), answered (those of the attack), detected and
            contained (number of the last record of the question at which it happened, or `NEVER`; what was refused and
            answered later counts once), and days of the drill's clock.
        """
        keys = [f"key-{seed}-{number}" for number in range(way.keys)]
        policy = rehearsed(self.policy, server.protocol, keys, way.cohorts)
        clock, threat = Clock(), self.session.threat_of(attack)
        with guard(server.app, policy, clock, self.watch, seed) as guarded:
            server.stage.app = guarded
            with self._attacker(server, policy, way, clock, seed, keyed=True) as (attacker, door):
                contained = NEVER
                try:
                    answer, view = self._run(attack, told, server, attacker, threat, seed)
                except Refused:
                    contained = door.last
                found = detected(guarded.store)
                extra = {
                    "sent": _number(door.answered),
                    "answered": _number(attacker.answered),
                    "detected": _number(NEVER if found is None else found),
                    "contained": _number(contained),
                    "days": np.array([clock.days]),
                }
        if contained == NEVER:
            return told.evidence(answer, _origin(attack, threat, server, seed, view, run), extra)
        return self._planned(attack, told, server, seed, run, way, attacker.answered, extra)

    def _planned(
        self, attack: Attack, told: Told, server: Server, seed: int, run: int, way: Disguise, queries: int,
        extra: dict[str, Array],
    ) -> Evidence:  # fmt: skip
        """Attack with as many queries as this, on answers that are hardened as the policy says."""
        clock, threat = Clock(), self.session.threat_of(attack)
        if queries:
            threat = replace(threat, queries=queries)
        origin = Origin(attack.code, settings(attack), threat, Role.COINS, server.name, seed, queries, False, run)
        if not queries:
            return told.evidence(None, origin, extra)
        keys = [f"key-{seed}-{number}" for number in range(way.keys)]
        policy = outputs_alone(rehearsed(self.policy, server.protocol, keys, way.cohorts))
        with guard(server.app, policy, clock, seed=seed) as hardened:
            server.stage.app = hardened
            with self._attacker(server, policy, way, clock, seed, keyed=True) as (attacker, _):
                try:
                    answer, _ = self._run(attack, told, server, attacker, threat, seed)
                except REFUSALS:  # it cannot do its work with so few
                    return told.evidence(None, origin, extra)
        return told.evidence(answer, origin, extra)

    def _run(
        self, attack: Attack, told: Told, server: Server, attacker: Attacker, threat: ThreatModel, seed: int
    ) -> tuple[Answer, View]:
        view = Target(server.name, attacker).view(threat, self.session.side())
        return attack.run(view, told.question, np.random.default_rng(seed)), view

    @contextmanager
    def _attacker(
        self, server: Server, policy: GuardPolicy, way: Disguise, clock: Clock, seed: int, *, keyed: bool
    ) -> Iterator[tuple[Attacker, Opens]]:
        keys = tuple(f"key-{seed}-{number}" for number in range(way.keys)) if keyed and policy.clients else ()
        door = Opens(
            server.url, server.model, {"protocol": server.protocol.value, **server.options}, policy.header, keys, clock,
            self.days, self.pace,
        )  # fmt: skip
        try:
            sends = way.sends(door, cover(self.session), np.random.default_rng([seed, 5]))
            model = server.model
            yield Attacker(model.access, model.classes, model.inputs, sends, self._batch), door
        finally:
            door.close()

    @property
    def _batch(self) -> int:
        budgets = [self.policy.budget, *self.policy.cohorts.values(), *self.policy.models.values()]
        limits = [limit for budget in budgets for limit in vars(budget).values() if limit is not None]
        noise = self.policy.outputs.noise
        if noise is not None and noise.limit is not None:
            limits.append(noise.limit // noise.each)
        return max(1, min([self.batch, *limits]))


def cover(session: Session) -> Records | None:
    """Return harmless records that an attacker may have: public ones, or else those of nonmembers; None without any."""
    splits = session.splits
    return splits.public if splits.public is not None and len(splits.public) else splits.nonmembers


def _origin(attack: Attack, threat: ThreatModel, server: Server, seed: int, view: View, run: int) -> Origin:
    return Origin(attack.code, settings(attack), threat, Role.COINS, server.name, seed, view.spent, True, run)


def _number(value: int) -> Array:
    return np.array([value])
