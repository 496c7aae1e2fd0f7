"""One model's case: what is defended, against which attacker, on which coins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from safelight.compute.engine import Engine
from safelight.compute.ledger import Ledger, key_of
from safelight.compute.shadows import ShadowPool
from safelight.data.records import Records, Splits
from safelight.defences.base import Defence, describe
from safelight.errors import InputError
from safelight.evidence import Store
from safelight.recipes.base import Recipe
from safelight.runner.coin_runs import CoinRunner, Pool, groups
from safelight.runner.kinds.base import Claim
from safelight.runner.plan import make_plan
from safelight.runner.session import Profile, Session, with_public
from safelight.targets.base import Target
from safelight.threat import ThreatModel
from safelight.verdict.levels import Policy

QUICK = ("V001", "V002", "V004", "V006", "A002", "A003", "A004", "M001", "M002", "M006")
"""Attacks that take little and, together, everything that a default attacker can see."""


@dataclass(frozen=True)
class Case:
    """What is defended, and how it is attacked.

    Attributes:
        splits: members and nonmembers, and public records where there are some; nonmembers judge the accuracy.
        threat: the attacker. It is told every defence: where it may train models of its own, it trains them with it.
        recipe: how the undefended model is trained.
        seed: of coins and trainings; the same for every defence, so that their coins are the same.
        only: beginnings of attack codes.
        out: folder for the evidence of each defence, or None to keep it in memory.
        ledger: where what reference models answer is kept.
        engine: where the work runs.
        say: called with one line of progress.
    """

    splits: Splits
    threat: ThreatModel
    recipe: Recipe
    seed: int = 0
    only: tuple[str, ...] = QUICK
    out: Path | None = None
    ledger: Ledger = field(default_factory=Ledger)
    engine: Engine = field(default_factory=Engine)
    say: Callable[[str], None] = lambda line: None
    _stores: dict[str, Store] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.splits.nonmembers is None or not len(self.splits.nonmembers):
            raise InputError("There are no nonmembers to measure the accuracy of a defence on; name some.")
        public = with_public(self.splits, np.random.default_rng([self.seed, 11]))
        object.__setattr__(self, "splits", public)

    def defended(self, defences: tuple[Defence, ...]) -> Recipe:
        """Return the recipe with these defences in it, the first innermost; public records are filled in.

        Raises:
            InputError: one of them does not fit.
        """
        recipe = self.recipe
        for defence in defences:
            recipe = self.with_public(defence)(recipe)
        return recipe

    def with_public(self, defence: Defence) -> Defence:
        """Return the defence with this case's public records, where it asks for some and has none."""
        if getattr(defence, "public", self) is not None or self.splits.public is None:
            return defence
        return cast("Defence", replace(cast("Any", defence), public=self.splits.public))

    def attacked(self, name: str, recipe: Recipe, target: Target, runs: int) -> list[tuple[Claim, Pool]]:
        """Flip coins, train with `recipe`, attack: the guesses of each attack over `runs` trainings.

        Args:
            name: of the defence, for its folder.
            recipe: with the defence in it.
            target: a model of it, which says what its answers show.
            runs: trainings for each kind of coins.
        """
        session = self._session(name, recipe, target)
        plan = make_plan(session, None)
        found: list[tuple[Claim, Pool]] = []
        for coins, claims in groups(plan.tested):
            runner = CoinRunner(session, coins, claims)
            found += zip(claims, runner.real(runs), strict=True)
        return found

    def _session(self, name: str, recipe: Recipe, target: Target) -> Session:
        key = self._key(recipe)
        if key not in self._stores:
            folder = None if self.out is None else self.out / "evidence" / _file_name(f"{name} {key[:16]}")
            self._stores[key] = Store(folder)
        return Session(
            target, self.splits, self.threat, recipe, Policy(), self.seed, Profile.FAST, self.only, (), {}, None,
            False, self._stores[key], ShadowPool(recipe, self.seed, self.ledger, self.engine), self.ledger, _quiet,
            engine=self.engine,
        )  # fmt: skip

    def _key(self, recipe: Recipe) -> str:
        """Return the key of all that decides what a recipe's evidence is: nothing else may be read from its folder."""
        threat = {**vars(self.threat), "knows": sorted(word.name for word in self.threat.knows)}
        splits = {
            name: _content(value) if isinstance(value, Records) else value for name, value in vars(self.splits).items()
        }
        return key_of(recipe.key, str(self.seed), repr(threat), repr(splits))


def name_of(defences: tuple[Defence, ...]) -> str:
    """Return what a chain of defences is called."""
    return " + ".join(map(describe, defences)) or "none"


def _content(records: Records) -> list[str]:
    about = (records.ids, records.person, records.group)
    return [records.digest, *(key_of(repr(None if each is None else each.tolist())) for each in about)]


def _quiet(line: str) -> None:
    pass


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
