"""Train a torch recipe in rounds over clients: what the federated defences share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from safelight.data.records import Records
from safelight.defences.federated.partition import by_person, in_parts
from safelight.errors import InputError
from safelight.recipes.base import Recipe

if TYPE_CHECKING:
    from safelight.defences.federated.learner import Learner
    from safelight.defences.federated.rounds import Federation, Trained
    from safelight.recipes.torch import TorchRecipe


def train_over_clients(
    recipe: Recipe, records: Records, clients: int, epochs: int, build: Callable[[Learner], Federation], seed: int
) -> Trained:
    """Train `recipe` over clients: one a person where the records name persons, else random parts.

    Args:
        recipe: a TorchRecipe; a client runs `epochs` passes of it in each round.
        records: of all clients together.
        clients: how many parts, where nobody is named.
        epochs: passes of one client in one round.
        build: makes the federation of a learner.
        seed: of everything.
    """
    from safelight.defences.federated.torch_learner import TorchLearner

    if epochs < 1:
        raise InputError(f"epochs is {epochs}; a client needs at least 1 pass over its records in a round.")
    rng = np.random.default_rng([seed, 6])
    parts = by_person(records) if records.person is not None else in_parts(records, min(clients, len(records)), rng)
    learner = TorchLearner(replace(cast("TorchRecipe", recipe), epochs=epochs), int(records.y.max()) + 1)
    return build(learner).train(parts, seed)
