"""Coin runs and the sanity ladder: the only place where secrets and answers meet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.base import Attack, settings
from safelight.controls.coins.base import Coins, Draw, Guesses, guess
from safelight.data.records import Splits
from safelight.errors import AccessDenied, BudgetSpent, InputError
from safelight.evidence import Evidence, Origin, Role, WhatIsInside
from safelight.measures.binomial import binomial_p
from safelight.recipes.base import StartsUntrained
from safelight.report.model import Rung
from safelight.runner.ahead import make_ahead
from safelight.runner.kinds.base import Claim
from safelight.runner.session import Session
from safelight.targets.base import Target

REFUSALS = (AccessDenied, BudgetSpent, InputError)
"""What an attack raises that cannot do its work with this access, budget or data: a finding, not an error."""


@dataclass
class Pool:
    """What the runs of one claim gave so far, for one role.

    Attributes:
        failed: why the attack could not do its work, or "".
    """

    guesses: list[Guesses] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    failed: str = ""

    def total(self) -> Guesses:
        total = self.guesses[0]
        for more in self.guesses[1:]:
            total = total + more
        return total


def trial(session: Session, attack: Attack, draw: Draw, target: Target, coins: Coins, role: Role, run: int) -> Evidence:
    """Attack one trained model through the door, then join the secret."""
    threat = session.threat_of(attack)
    view = target.view(threat, session.side(session.planted(attack) if role is Role.PLANTED else None))
    seed = int(session.rng("attack", attack.code, coins.name, role, run).integers(2**31))
    answer = attack.run(view, draw.question, np.random.default_rng(seed))
    origin = Origin(attack.code, settings(attack), threat, role, target.name, seed, view.spent, True, run)
    curve = {queries: draw.match(kept) for queries, kept in view.kept.items()}
    extra = {} if draw.group is None else {"group": np.asarray(draw.group, dtype=str)}
    return Evidence(origin, answer, draw.match(answer), draw.secret, draw.k, coins.unit, coins.adjacency, curve, extra)


@dataclass(frozen=True)
class CoinRunner:
    """Runs coins of one kind for all attacks that share it: one training a run, every attack on it.

    Attributes:
        seconds: time for all roles together; half of it is for the runs that the finding rests on. One run of each
            role is always done.
        first: number of the run to begin with.
    """

    session: Session
    coins: Coins
    claims: tuple[Claim, ...]
    seconds: float = math.inf
    first: int = 0

    def pools(self, role: Role, runs: int, make: Callable[[int], tuple[Draw, Callable[[Claim], Target]]]) -> list[Pool]:
        """Do `runs` runs; `make(run)` gives the draw and the model that each claim's attack is shown."""
        pools = [Pool() for _ in self.claims]
        started = time.monotonic()
        make_ahead(self, role, runs)
        for run in range(self.first, runs):
            draw, model_for = make(run)
            for claim, pool, name in zip(self.claims, pools, self.names(role, run)):
                if pool.failed:
                    continue
                evidence = self.session.store.get(name)
                if evidence is None:
                    try:
                        evidence = trial(self.session, claim.attack, draw, model_for(claim), self.coins, role, run)
                    except REFUSALS as refusal:
                        pool.failed = str(refusal)
                        continue
                pool.hashes.append(self.session.store.put(name, evidence))
                pool.evidence.append(evidence)
                pool.guesses.append(self.score(evidence, role, run))
            self.session.say(f"{role.value}, {self.coins.name}: run {run + 1} of {runs}")
            spent = time.monotonic() - started
            if spent * (run + 2) / (run + 1) > self.seconds * (1 / 2 if role is Role.COINS else 1 / 8):
                break
        return pools

    def names(self, role: Role, run: int) -> list[str]:
        """Return what the evidence of one run is called, one name a claim."""
        return [f"{claim.name}-{role.value.replace(' ', '-')}-{run}" for claim in self.claims]

    def of(self, role: Role, runs: int) -> list[Pool]:
        """Do the runs of any role that trains or makes models."""
        does = {Role.COINS: self.real, Role.NEVER_SAW: self.never_saw, Role.PERMUTED: self.permuted,
                Role.UNTRAINED: self.untrained, Role.PLANTED: self.planted}  # fmt: skip
        return does[role](runs)

    def score(self, evidence: Evidence, role: Role, run: int, redrawn: bool = False) -> Guesses:
        """Compare beliefs with the secret, or with coins flipped again after the attack."""
        assert evidence.belief is not None
        assert evidence.secret is not None
        rng = self.session.rng("guess", evidence.origin.attack, self.coins.name, role, run, redrawn)
        secret: Array = rng.integers(0, evidence.k, len(evidence.secret)) if redrawn else evidence.secret
        return guess(evidence.belief, secret, self.coins.share, rng)

    def real(self, runs: int) -> list[Pool]:
        """Coins flipped, the recipe trained, the attacks run."""
        return self.pools(Role.COINS, runs, lambda run: self._trained(run, "flip", self._flip(run)))

    def never_saw(self, runs: int) -> list[Pool]:
        """The recipe trained on none of the candidates."""
        return self.pools(
            Role.NEVER_SAW, runs, lambda run: self._trained(run, "never saw", self._flip(run, self.coins.never_saw))
        )

    def permuted(self, runs: int) -> list[Pool]:
        """The recipe trained on permuted labels: what a class looks like is lost."""

        def make(run: int) -> tuple[Draw, Callable[[Claim], Target]]:
            rng, draw = self.session.rng("permute", self.coins.name, run), self._flip(run)
            train = draw.train.relabelled(rng.permutation(draw.train.y))
            return draw, self._lazily(lambda: self._fit(train, "permute", run))

        return self.pools(Role.PERMUTED, runs, make)

    def untrained(self, runs: int) -> list[Pool]:
        """The recipe's random starting weights."""
        recipe = self.session.recipe
        assert isinstance(recipe, StartsUntrained)

        def make(run: int) -> tuple[Draw, Callable[[Claim], Target]]:
            rng, draw = self.session.rng("untrained", self.coins.name, run), self._flip(run)
            return draw, self._lazily(lambda: recipe.untrained(draw.train, int(rng.integers(2**31))))

        return self.pools(Role.UNTRAINED, runs, make)

    def planted(self, runs: int) -> list[Pool]:
        """A model that leaks everything the coins decide."""
        session = self.session

        def make(run: int) -> tuple[Draw, Callable[[Claim], Target]]:
            draw, seed = self._flip(run), int(session.rng("planted", self.coins.name, run).integers(2**31))
            return draw, lambda claim: session.planted(claim.attack).fit(draw.train, seed)

        return self.pools(Role.PLANTED, runs, make)

    def _flip(self, run: int, flip: Callable[[Splits, Generator], Draw] | None = None) -> Draw:
        """Flip the coins of one run.

        Every role of a run asks about the same units with the same coins, so that reference models are trained once
        for all of them. Each test stays valid: no model but the planted one, and that of the coins themselves, can know
        a coin, and a planted leak that is missed only takes claims away.
        """
        return (flip or self.coins.flip)(self.session.splits, self.session.rng("flip", self.coins.name, run))

    def _trained(self, run: int, word: str, draw: Draw) -> tuple[Draw, Callable[[Claim], Target]]:
        return draw, self._lazily(lambda: self._fit(draw.train, word, run))

    def _fit(self, train: object, word: str, run: int) -> Target:
        assert self.session.recipe is not None
        seed = int(self.session.rng("train", word, self.coins.name, run).integers(2**31))
        return self.session.recipe.fit(train, seed)  # type: ignore[arg-type]

    @staticmethod
    def _lazily(train: Callable[[], Target]) -> Callable[[Claim], Target]:
        """Train once, and only if some attack still has to be run."""
        made: list[Target] = []

        def model_for(claim: Claim) -> Target:
            if not made:
                made.append(train())
            return made[0]

        return model_for


def groups(claims: Iterable[Claim]) -> list[tuple[Coins, tuple[Claim, ...]]]:
    """Return the claims by the coins that they share."""
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.coins is not None:
            found.setdefault(claim.coins.name, []).append(claim)
    return [(members[0].coins, tuple(members)) for members in found.values() if members[0].coins is not None]


def null_rungs(runner: CoinRunner, real: list[Pool], runs: int) -> list[Rung]:
    """Stand every attack where nothing can leak. The p-values are judged later, all rungs of the audit together."""
    rungs: list[Rung] = []

    def add(role: Role, pools: list[Pool]) -> None:
        for claim, pool in zip(runner.claims, pools):
            if not pool.guesses:
                rungs.append(Rung(role.value, claim.attack.code, 0, 0, 2, None, None, pool.failed))
                continue
            total = pool.total()
            p = binomial_p(total.right, total.guesses, 1 / total.k)
            rungs.append(Rung(role.value, claim.attack.code, total.right, total.guesses, total.k, p, None))

    redrawn = [
        Pool([runner.score(item, Role.REDRAWN, item.origin.run, redrawn=True) for item in pool.evidence])
        for pool in real
    ]
    add(Role.REDRAWN, redrawn)
    add(Role.NEVER_SAW, runner.never_saw(runs))
    if isinstance(runner.session.recipe, StartsUntrained):
        add(Role.UNTRAINED, runner.untrained(runs))
    else:
        reason = "this recipe cannot show a model before its first step"
        rungs += [Rung(Role.UNTRAINED.value, c.attack.code, 0, 0, 2, None, None, reason) for c in runner.claims]
    if runner.claims[0].attack.answers is WhatIsInside:
        add(Role.PERMUTED, runner.permuted(runs))
    return rungs
