"""Attackers who know that somebody watches: the attack stays as it is, its questions come in another way.

Sources: spreading and many accounts as everybody does it; query blinding: Chen, Carlini and Wagner 2019,
arXiv:1907.05587, section 5; learning from refusals: Feng et al. 2023, arXiv:2303.06280 (OARS), with the strength of a
disguise in place of the attack's own step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.membership.label_only import disturbed
from safelight.data.records import Records
from safelight.drill.clock import DAY
from safelight.drill.hands import Hand, Opens, Refused
from safelight.errors import InputError
from safelight.targets.base import Images, Table
from safelight.threat import Access

Sends = Callable[[Any], Array]
"""Takes some records, returns their answers, or raises Refused."""


class Disguise(Protocol):
    """A way to ask. Settings are fields.

    Attributes:
        name: short, for tables.
        keys: how many clients the attacker is.
        cohorts: whether each of them is in a cohort of its own.
    """

    name: ClassVar[str]

    @property
    def keys(self) -> int: ...
    @property
    def cohorts(self) -> bool: ...

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        """Return what asks about a few records at a time.

        Args:
            door: makes hands.
            cover: harmless records that the attacker has, or None.
            rng: of the disguise.
        """
        ...


@dataclass(frozen=True)
class Plain:
    """One client that asks what the attack asks, as fast as it may."""

    name: ClassVar[str] = "plain"
    keys: int = 1
    cohorts: bool = False

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        return door.hand().ask


@dataclass(frozen=True)
class Slow:
    """One client that asks little a day, and waits out what it is told to wait.

    Attributes:
        a_day: records a day, evenly spread (> 0).
        waits: how often it comes back after a quarantine; hours: each time so much later.
    """

    name: ClassVar[str] = "slow"
    a_day: float = 100.0
    waits: int = 24
    hours: float = 24.0
    keys: int = 1
    cohorts: bool = False

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        hand, left = door.hand(), [self.waits]

        def send(x: Any) -> Array:
            hand.clock.wait(DAY * len(x) / self.a_day)
            while True:
                try:
                    return hand.ask(x)
                except Refused:
                    left[0] -= 1
                    if left[0] < 0 or hand.line.last != 403:
                        raise
                    hand.clock.wait(3600 * self.hours)

        return send


@dataclass(frozen=True)
class Sybil:
    """Many clients in turn; one that is shut out is left out.

    Attributes:
        keys: how many (>= 1).
        cohorts: whether each is in a cohort of its own, or all in one.
    """

    name: ClassVar[str] = "sybil"
    keys: int = 20
    cohorts: bool = False

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        hands = [door.hand(number) for number in range(self.keys)]
        turn = [0]

        def send(x: Any) -> Array:
            while True:
                alive = [hand for hand in hands if not hand.shut]
                if not alive:
                    raise Refused("The door is shut for every key.")
                turn[0] += 1
                try:
                    return alive[turn[0] % len(alive)].ask(x)
                except Refused:
                    continue

        return send


@dataclass(frozen=True)
class Blinded:
    """One client that disturbs each question a little and hides it among harmless ones.

    Attributes:
        noise: deviation, as a part of the range of a picture, or of a column's deviation; odds of another word.
        among: harmless records for each one of the attack (>= 0).
    """

    name: ClassVar[str] = "blinded"
    noise: float = 0.05
    among: int = 4
    keys: int = 1
    cohorts: bool = False

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        hand = door.hand()
        return lambda x: hidden(hand, x, cover, self.noise, self.among, rng)


@dataclass(frozen=True)
class Rejecting:
    """Many clients, one after the other: each refusal costs one, and the next one hides better.

    Attributes:
        keys: clients to lose (>= 1).
        noise: of the first disguise; each refusal adds as much, up to `most_noise`.
        among: harmless records for each one of the attack, after the first refusal; each further one doubles them.
        most_noise, most_among: the best disguise.
    """

    name: ClassVar[str] = "rejecting"
    keys: int = 20
    cohorts: bool = True
    noise: float = 0.02
    among: int = 1
    most_noise: float = 0.1
    most_among: int = 32

    def disguises(self) -> Iterator[tuple[float, int]]:
        """Yield (noise, harmless records) after 0, 1, 2, ... refusals."""
        noise, among = 0.0, 0
        while True:
            yield noise, among
            noise = min(noise + self.noise, self.most_noise)
            among = min(max(self.among, 2 * among), self.most_among)

    def sends(self, door: Opens, cover: Records | None, rng: Generator) -> Sends:
        strengths = self.disguises()
        now = [next(strengths)]
        hands = [door.hand()]

        def send(x: Any) -> Array:
            while True:
                try:
                    return hidden(hands[-1], x, cover, *now[0], rng)
                except Refused:
                    if len(hands) == self.keys:
                        raise
                    hands.append(door.hand(len(hands)))
                    now[0] = next(strengths)

        return send


ADAPTIVE: tuple[Disguise, ...] = (Slow(), Sybil(), Blinded(), Rejecting())


def hidden(hand: Hand, x: Any, cover: Records | None, noise: float, among: int, rng: Generator) -> Array:
    """Ask about records x (n, ...), disturbed, in random order among `among` n harmless ones; return their answers.

    Raises:
        Refused: the door is shut.
        InputError: there is nothing to hide them among.
    """
    asked = disturbed(x, noise, rng) if noise else x
    if among:
        if cover is None or not len(cover):
            raise InputError("There are no public records and no nonmembers to hide questions among; name some.")
        others = cover.take(rng.integers(0, len(cover), among * len(x))).x
        asked = (
            pd.concat([asked, others[asked.columns]])
            if isinstance(x, pd.DataFrame)
            else np.concatenate([asked, others])
        )
    order = rng.permutation(len(asked))
    asked = asked.iloc[order].reset_index(drop=True) if isinstance(x, pd.DataFrame) else asked[order]
    size = len(x)  # as large as the questions of the attack itself
    answers = np.concatenate([hand.ask(asked[start : start + size]) for start in range(0, len(asked), size)])
    return answers[np.argsort(order)[: len(x)]]


@dataclass
class Attacker:
    """What an attack asks instead of the model: a disguise, a few records at a time.

    Attributes:
        access: of the door.
        classes, inputs: of the model behind it.
        send: asks about a few records.
        batch: that one question holds at most (>= 1).
        answered: records of the attack that were answered.
    """

    access: Access
    classes: tuple[str, ...]
    inputs: Images | Table
    send: Sends
    batch: int
    answered: int = 0
    inexact: bool = field(default=True, init=False)

    def labels(self, x: Any) -> Array:
        """Return class numbers (n,) or predictions (n,); raises Refused."""
        answer = self._ask(x)
        return answer if answer.ndim == 1 else answer.argmax(axis=1)

    def scores(self, x: Any) -> Array:
        """Return scores (n, classes) as they are left; raises Refused."""
        return self._ask(x)

    def _ask(self, x: Any) -> Array:
        parts = []
        for start in range(0, len(x), self.batch):
            part = x.iloc[start : start + self.batch] if isinstance(x, pd.DataFrame) else x[start : start + self.batch]
            parts.append(self.send(part))
            self.answered += len(part)
        if parts:
            return np.concatenate(parts)
        return np.empty((0, len(self.classes)) if self.access > Access.LABEL else (0,))
