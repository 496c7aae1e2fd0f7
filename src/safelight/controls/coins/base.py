"""One way to hide a secret, whatever the attack: flip coins, train once, let the attack guess.

With no leak, right guesses are Binomial(guesses, 1/k), however good or over-fitted the matcher is: the attack's answer
depends on the secrets through the trained model alone (Steinke et al. 2023, arXiv:2305.08846; Mahloujifar et al. 2025,
arXiv:2410.22235).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records, Splits
from safelight.evidence import Answer, Question


@dataclass(frozen=True)
class Draw:
    """One flip of all coins.

    Attributes:
        train: goes to the recipe.
        question: goes to the attack.
        secret: (m,) which candidate was trained; stays with the auditor.
        k: candidates a coin.
        match: reads an answer into beliefs (m, k); fixed before anything is trained.
        group: (m,) which part of the population, or kind, each unit is of; or None.
    """

    train: Records
    question: Question
    secret: Array
    k: int
    match: Callable[[Answer], Array]
    group: Array | None = None


class Coins(Protocol):
    """A way to flip coins over the units of a data set.

    Attributes:
        name: short, for file names.
        claim: what a leak would show: membership, record, person, class, attribute, link or property.
        unit: what one coin decides about.
        adjacency: add-remove or replace; none where a coin changes many records at once.
        share: share of the coins that is guessed: the attack's surest, fixed beforehand.
    """

    @property
    def name(self) -> str: ...
    @property
    def claim(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def adjacency(self) -> str: ...
    @property
    def share(self) -> float: ...

    def why_not(self, data: Splits) -> str:
        """Return why this data cannot carry such coins, or an empty string."""
        ...

    def count(self, data: Splits) -> int:
        """Return how many coins one run flips."""
        ...

    def flip(self, data: Splits, rng: Generator) -> Draw:
        """Flip all coins: some candidate of every unit is trained."""
        ...

    def never_saw(self, data: Splits, rng: Generator) -> Draw:
        """Flip coins that decide nothing: no candidate of any unit is trained."""
        ...


@dataclass(frozen=True)
class Guesses:
    """How an attack did on one or more flips.

    Attributes:
        coins: secrets there were.
        guesses: secrets guessed.
        right: right guesses.
        k: candidates a secret.
    """

    coins: int
    guesses: int
    right: int
    k: int

    def __add__(self, other: Guesses) -> Guesses:
        return Guesses(self.coins + other.coins, self.guesses + other.guesses, self.right + other.right, self.k)


def guess(belief: Array, secret: Array, share: float, rng: Generator) -> Guesses:
    """Score beliefs (m, k) against secrets (m,): guess the surest `share`, break ties by `rng`.

    Sureness is the distance between the best and the second-best candidate.
    """
    m, k = belief.shape
    noise = rng.random(belief.shape)
    order = np.lexsort((noise, belief), axis=1)
    best, second = order[:, -1], order[:, -2]
    rows = np.arange(m)
    margin = belief[rows, best] - belief[rows, second]
    surest = np.lexsort((rng.random(m), -margin))[: max(1, round(share * m))]
    right = int((best[surest] == secret[surest]).sum())
    return Guesses(m, len(surest), right, k)
