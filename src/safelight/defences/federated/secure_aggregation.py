"""Secure aggregation as a defence: the model is trained over clients, and the server sees sums alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_torch
from safelight.defences.federated.client_training import train_over_clients
from safelight.recipes.base import Recipe
from safelight.targets.base import Target


@dataclass(frozen=True)
class SecureAggregation(InTraining):
    """Train over clients whose updates the server sees only as a sum.

    What it does: each client trains on its own records and sends its update under masks that cancel in the sum. The
    server gets the sum, exact to a fixed point, though clients are lost; clients compare the hash of the model they
    were given.
    Evidence for: a single update can hold whole records: a linear layer's gives them back exactly, and pictures are
    rebuilt from the gradient of a deep network (Geiping et al. 2020, arXiv:2003.14053). The sum of many clients hides
    most of that.
    Evidence against: the model at the end is the one of plain federated training, so every attack on the model, or on
    its answers, finds what it would find anyway. A sum of few still gives records back: of a digit from each of 4
    clients nearly all through the first layer of a small network, of 16 clients a quarter, of 64 clients 3 %. A server
    that gives clients different models undoes it where they do not compare (Pasquini et al. 2022, arXiv:2111.07380),
    and one that invents clients does so everywhere.
    Cost: for 50 clients of a million parameters 0.3 % more bytes, and 3 to 4 CPU seconds a round where the plain sum
    takes less than one; time grows with the square of the number of clients. Values are rounded to 2^-20.

    Attributes:
        clients: parts that the records are shared out to (>= 3), where they name no persons; else one client a person.
        rounds: of training (>= 1).
        epochs: passes of a client over its records in one round (>= 1).
        lost: chance that a client is lost in a round, in [0, 0.5].
    """

    name: ClassVar[str] = "secure-aggregation"
    title: ClassVar[str] = "Secure aggregation"
    source: ClassVar[str] = "Bonawitz et al. 2017, CCS, section 4 (eprint 2017/281)"

    clients: int = 20
    rounds: int = 20
    epochs: int = 1
    lost: float = 0.0

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the rounds")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        from safelight.defences.federated.rounds import Federation

        return train_over_clients(
            recipe,
            records,
            self.clients,
            self.epochs,
            lambda learner: Federation(learner, self.rounds, secure=True, lost=self.lost),
            seed,
        ).target
