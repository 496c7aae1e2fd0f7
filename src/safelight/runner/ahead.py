"""Runs of an audit side by side: workers make their evidence ahead, and it is judged in order as always."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from safelight.compute.engine import Engine, run
from safelight.compute.ledger import Ledger
from safelight.compute.worker import Task
from safelight.evidence import Evidence, Role, Store
from safelight.targets.base import Images, Table, Target
from safelight.threat import Access, Knows

if TYPE_CHECKING:
    from safelight.runner.coin_runs import CoinRunner


def make_ahead(runner: CoinRunner, role: Role, runs: int) -> None:
    """Put the evidence of several runs into the store, made by the engine's workers.

    Evidence hangs on the run's number and not on where it is made, so it is the same. Nothing is done where one process
    does everything; where a time budget may end the runs early; and for attacks that have reference models, since
    those are what takes long, and are trained side by side anyway.
    """
    session = runner.session
    alone = session.engine.alone or any(Knows.RECIPE in claim.attack.knows for claim in runner.claims)
    lacking = [
        number for number in range(runs) if not all(name in session.store for name in runner.names(role, number))
    ]
    if alone or runner.seconds < math.inf or len(lacking) < 2:
        return
    session.say(f"{role.value}, {runner.coins.name}: {len(lacking)} runs side by side")
    tasks = [Task(tuple(runner.names(role, number)), (number,)) for number in lacking]
    for name, content in run(session.engine, Ledger(), OneRun(_light(runner), role), tasks):
        if len(content):
            session.store.put(name, Evidence.from_bytes(content.tobytes()))


@dataclass(frozen=True)
class OneRun:
    """The work of one task: one run of one role, every attack on it."""

    runner: CoinRunner
    role: Role

    def __call__(self, number: int) -> list[Array]:
        """Return the evidence of each claim as bytes (n,) uint8, none where the attack refused."""
        store = Store()
        session = replace(self.runner.session, store=store)
        replace(self.runner, session=session, first=number).of(self.role, number + 1)
        found = (store.get(name) for name in self.runner.names(self.role, number))
        return [np.frombuffer(b"" if item is None else item.to_bytes(), np.uint8) for item in found]


@dataclass(frozen=True)
class Outside:
    """What runs need to know of the audited model: all but the model, which may be a connection or an open file."""

    access: Access
    classes: tuple[str, ...]
    inputs: Images | Table


def _light(runner: CoinRunner) -> CoinRunner:
    """Return the runner without what cannot travel, or is not used there."""
    session, model = runner.session, runner.session.target.model
    outside = Target(session.target.name, Outside(model.access, model.classes, model.inputs))  # type: ignore[arg-type]
    return replace(
        runner,
        session=replace(
            session, target=outside, shadows=None, ledger=Ledger(), store=Store(), say=_quiet, engine=Engine()
        ),
    )


def _quiet(line: str) -> None:
    pass
