"""Differential privacy for whole clients: the noise that hides one client's update in a round."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.federated.client_training import train_over_clients
from safelight.errors import InputError
from safelight.measures.trade_off import DpSgd
from safelight.recipes.base import Recipe
from safelight.targets.base import Target


@dataclass(frozen=True)
class ClientDp(InTraining):
    """Train over clients with noise that hides whether any one of them took part.

    What it does: each round takes each client with a fixed chance, shortens its update to a fixed length and adds
    Gaussian noise to the sum. All records of a person count as one where the records name persons.
    Evidence for: it is differentially private for clients, so it bounds every attack on the models, known or not
    (McMahan et al. 2018, arXiv:1710.06963). The bound is computed over all rounds by the privacy loss distribution.
    Evidence against: the promise is for who sees the models; the server that adds the noise sees the sum without it. It
    holds with epsilon as large as one allows it to be: at 8 it says little about a worst case.
    Cost: accuracy, most of all with few clients: they share noise of a fixed size, so that tens of them learn little
    at a small epsilon.

    The noise multiplier is the least whose epsilon over all rounds is the one asked for.

    Attributes:
        epsilon: promise to each client over the whole training (> 0).
        delta: chance that the promise fails, in (0, 1); well below 1 / clients.
        clip: longest update that counts, in Euclidean length (> 0).
        sampling: chance that a client is in a round, in (0, 1].
        clients: parts that the records are shared out to (>= 1), where they name no persons; else one client a person.
        rounds: of training (>= 1).
        epochs: passes of a client over its records in one round (>= 1).
    """

    name: ClassVar[str] = "client-dp"
    title: ClassVar[str] = "Client-level DP"
    source: ClassVar[str] = "McMahan et al. 2018, ICLR, arXiv:1710.06963, algorithm 1"

    epsilon: float = 8.0
    delta: float = 1e-3
    clip: float = 1.0
    sampling: float = 0.5
    clients: int = 100
    rounds: int = 20
    epochs: int = 1

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the rounds")

    @property
    def sigma(self) -> float:
        """The noise multiplier that keeps the promise."""
        return least_noise(self.epsilon, self.delta, self.sampling, self.rounds)

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        from safelight.defences.federated.rounds import ClientNoise, Federation

        noise = ClientNoise(self.sigma, self.sampling)
        return train_over_clients(
            recipe,
            records,
            self.clients,
            self.epochs,
            lambda learner: Federation(learner, self.rounds, clip=self.clip, noise=noise),
            seed,
        ).target


@lru_cache(maxsize=32)
def least_noise(epsilon: float, delta: float, sampling: float, rounds: int) -> float:
    """Return the least noise multiplier, to 1 % and at least 0.3, at which the training promises `epsilon` at `delta`.

    Raises:
        InputError: epsilon is not above 0, or no multiplier up to 1,000 keeps the promise.
    """
    if not 0 < epsilon < math.inf or not 0 < delta < 1:
        raise InputError(f"epsilon is {epsilon} and delta {delta}; use an epsilon above 0 and a delta between 0 and 1.")
    low, high = 0.3, 0.6
    while DpSgd(high, sampling, rounds).epsilon(delta) > epsilon:
        low, high = high, 2 * high
        if high > 1000:
            raise InputError(
                f"No noise up to 1,000 keeps epsilon {epsilon} at delta {delta} over {rounds} rounds; allow a larger "
                "epsilon or fewer rounds."
            )
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        if DpSgd(middle, sampling, rounds).epsilon(delta) > epsilon:
            low = middle
        else:
            high = middle
    return high
