"""What one audit works with, and where its randomness comes from."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.random import Generator

from safelight.attacks.base import Attack
from safelight.compute.engine import Engine
from safelight.compute.ledger import Ledger
from safelight.compute.shadows import ShadowPool
from safelight.controls.planted import planted_recipe
from safelight.data.records import Records, Splits
from safelight.evidence import Store
from safelight.recipes.base import Recipe
from safelight.targets.base import Shadows, Side, Target
from safelight.threat import Knows, ThreatModel
from safelight.verdict.levels import Policy


class Profile(Enum):
    """How much is done: what fits a coffee break, or everything."""

    FAST = "fast"
    DEEP = "deep"


@dataclass(frozen=True)
class Session:
    """One audit's inputs.

    Attributes:
        target, splits, threat, recipe, policy, seed: as given to `audit`; `splits.public` is never evaluated on.
        profile: see `Profile`.
        only, skip: beginnings of attack codes to keep or to leave out.
        tuned: attacks whose settings are not the defaults, by code.
        seconds: time budget of the whole audit, or None.
        show_records: whether training records may be shown.
        store: where evidence goes.
        shadows: the attacker's own models, or None.
        ledger: where what reference models answer is kept.
        say: called with one line of progress.
        engine: where runs and trainings are done.
    """

    target: Target
    splits: Splits
    threat: ThreatModel
    recipe: Recipe | None
    policy: Policy
    seed: int
    profile: Profile
    only: tuple[str, ...]
    skip: tuple[str, ...]
    tuned: Mapping[str, Attack]
    seconds: float | None
    show_records: bool
    store: Store
    shadows: Shadows | None
    ledger: Ledger
    say: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    engine: Engine = field(default_factory=Engine)
    base: Target | None = None

    def left(self) -> float:
        """Return how many seconds of the time budget are left; infinite without one."""
        return math.inf if self.seconds is None else self.seconds - (time.monotonic() - self.started)

    def rng(self, *names: object) -> Generator:
        """Return the random stream of this name: independent of what else runs, and in which order."""
        return np.random.default_rng([self.seed, *(zlib.crc32(str(name).encode()) for name in names)])

    def side(self, planted: Recipe | None = None) -> Side:
        """Return what the threat model grants the attacker besides the door.

        Args:
            planted: how the attacked model was made, where it is a planted one: who knows how a model is trained has
                reference models that are trained like it.
        """
        public = self.splits.public if Knows.PUBLIC in self.threat.knows else None
        shadows = self.shadows
        if planted is not None and shadows is not None:
            shadows = ShadowPool(planted, self.seed, self.ledger)
        if Knows.RECIPE not in self.threat.knows:
            return Side(public)
        return Side(public, shadows, None if self.base is None else self.base.model)

    def planted(self, attack: Attack) -> Recipe:
        """Return how a model is made that leaks what this attack looks for, of the target's own kind."""
        return planted_recipe(attack, self.target.model.inputs, not self.target.model.classes)

    def threat_of(self, attack: Attack) -> ThreatModel:
        return self.threat.narrowed(attack.needs)


def with_public(splits: Splits, rng: Generator) -> Splits:
    """Give the attacker half of a table's nonmembers as public data where the owner named none.

    They are then neither evaluated on nor trained on.
    """
    rest = splits.nonmembers
    if splits.public is not None or rest is None or not rest.is_table or len(rest) < 40:
        return splits
    order = rng.permutation(len(rest))
    half = len(rest) // 2
    return replace(splits, public=rest.take(np.sort(order[:half])), nonmembers=rest.take(np.sort(order[half:])))


def known_classes(public: Records | None, classes: int) -> Records | None:
    """Return the public records whose class the target knows; classes from `classes` on are other people."""
    if public is None or public.y.dtype.kind not in "iu":
        return public
    return public.take(public.y < classes)
