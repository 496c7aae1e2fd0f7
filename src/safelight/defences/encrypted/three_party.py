"""Secret sharing among three parties as a defence: nobody sees the question, and nobody sees the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.defences.encrypted.base import Encrypted
from safelight.defences.encrypted.layers import Layer
from safelight.defences.encrypted.three_parties import Parties, Precision, parties
from safelight.errors import InputError


@dataclass(frozen=True)
class ThreeParty(Encrypted):
    """Ask the model by a computation of three parties.

    What it does: who asks, who owns the model and a helper hold shares of every number, and compute on shares. The
    asker reads the answer; the records and the weights stay hidden from everybody else. The parties are three processes
    that talk over TLS with certificates made for the computation.
    Evidence for: what a single curious party sees cannot be told from random numbers (Ben-Or, Goldwasser and Wigderson
    1988, section 3; MPyC hides what comparisons and roundings open up to a statistical error of 2^-30). Answers are
    those of the plain model to about 1e-5.
    Evidence against: the answers reveal what they reveal in the open: membership, attributes and inversion from scores
    are unchanged. Any two parties together see everything, and one that sends wrong shares bends the answer; only
    absurd answers are noticed.
    Cost: seconds where the plain model takes less than a millisecond; comparisons (ReLU) take nearly all of it.

    Attributes:
        bits: of a shared number (>= 8); values lie below 2^(bits - fraction - 1).
        fraction: of them after the point (>= 4).
        batch: records that are sent at once (>= 1).
        patience: seconds that a batch may take (> 0).
    """

    name: ClassVar[str] = "three-party"
    title: ClassVar[str] = "Three-party inference"
    source: ClassVar[str] = "Ben-Or et al. 1988, STOC; computed by MPyC (Schoenmakers 2018)"

    bits: int = 40
    fraction: int = 20
    batch: int = 64
    patience: float = 120.0

    def __post_init__(self) -> None:
        if not 4 <= self.fraction < self.bits - 1:
            raise InputError(
                f"Numbers of {self.bits} bits with {self.fraction} of them after the point leave no room for the "
                "value; use at least 4 after the point, and two more bits than that."
            )

    @contextmanager
    def running(self, layers: tuple[Layer, ...]) -> Iterator[InBatches]:
        with parties(layers, Precision(self.bits, self.fraction, self.patience)) as running:
            yield InBatches(running, self.batch)


@dataclass(frozen=True)
class InBatches:
    """Running parties that are asked a batch at a time."""

    running: Parties
    batch: int

    def answer(self, x: Array) -> Array:
        """Return logits (n, outputs) for rows (n, inputs)."""
        return np.concatenate([self.running.answer(x[at : at + self.batch]) for at in range(0, len(x), self.batch)])
