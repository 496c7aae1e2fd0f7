"""Audit the updates of a federated training: which of its records does the server get back, and is that no accident?

The attack gets the door of an attacker who observes updates, and the layout of the model, which the server knows. The
truth is joined afterwards: each record of the clients is compared with what came closest to it, and so is, as a
control, each of as many records that no client has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.data.records import Records, concat
from safelight.defences.federated.analytic import first_layer_inputs, label_of_one
from safelight.defences.federated.learner import Learner
from safelight.defences.federated.seen import Updates
from safelight.errors import InputError

if TYPE_CHECKING:
    from safelight.defences.federated.inverting import InvertGradients
    from safelight.defences.federated.torch_learner import TorchLearner

EXACT = 0.995
"""A correlation from which a record counts as given back."""


@dataclass(frozen=True)
class GivenBack:
    """How close the server came to each record, beside the control.

    Attributes:
        likeness: (n,) the largest correlation of a record of the clients with anything that was rebuilt.
        control: (m,) the same of records that no client has.
    """

    likeness: Array
    control: Array

    @property
    def exact(self) -> float:
        """The share of the clients' records that were given back, with a correlation of at least 0.995."""
        return float((self.likeness >= EXACT).mean())

    @property
    def by_chance(self) -> float:
        """The share of records that no client has and that look given back all the same."""
        return float((self.control >= EXACT).mean())


def read_first_layer(door: Updates, learner: Learner) -> Array:
    """Return what all units of the first layer tell, over all rounds and updates: (candidates, inputs).

    Raises:
        AccessDenied: the attacker does not observe updates.
        InputError: the model does not begin with a linear layer that has a bias.
    """
    found = [first_layer_inputs(*learner.first_layer(update)) for seen in door for update in seen.updates]
    return np.concatenate(found) if found else np.empty((0, 0))


def invert_rounds(
    door: Updates,
    learner: TorchLearner,
    attack: InvertGradients,
    rng: Generator,
    labels: Sequence[Array] | None = None,
) -> Array:
    """Return pictures rebuilt from each update of the first round: (pictures, inputs).

    Args:
        door: of an attacker who observes updates; gradients (FedSGD) give most, moved weights are taken for one step.
        learner: the model; its last parameter must be the bias of the classes.
        attack: how it searches.
        rng: of the search.
        labels: the classes in each update, where the attacker knows them; else each update is taken for one record and
            its class is read off.
    """
    seen = next(door.rounds())
    found = []
    for number, update in enumerate(seen.updates):
        parts = list(learner.parts(-update).values())  # an update goes downhill
        known = np.array([label_of_one(parts[-1])]) if labels is None else labels[number]
        found.append(attack(learner.loaded(seen.weights), parts, known, learner.recipe.inputs, rng))
    return np.concatenate(found).reshape(sum(map(len, found)), -1)


def given_back(candidates: Array, clients: Sequence[Records], others: Records) -> GivenBack:
    """Return how close the candidates (m, inputs) come to the clients' records, and to as many others.

    Raises:
        InputError: there are no other records, or the records are of another shape.
    """
    records = concat(clients)
    if not len(others):
        raise InputError("What the server sees is judged beside records that no client has, and none were given.")
    true, control = rows(records), rows(others.take(np.arange(min(len(others), len(records)))))
    if candidates.shape[1:] != true.shape[1:]:
        raise InputError(
            f"The rebuilt records have {candidates.shape[1:]} values and the clients' {true.shape[1:]}; give the same "
            "records that the clients trained on."
        )
    return GivenBack(closest(true, candidates), closest(control, candidates))


def rows(records: Records) -> Array:
    """Return records as rows of numbers (n, inputs)."""
    return (records.x.to_numpy(float) if records.is_table else records.x.reshape(len(records), -1)).astype(float)


def closest(records: Array, candidates: Array) -> Array:
    """Return for each record (n, inputs) the largest correlation with a candidate (m, inputs): (n,)."""
    return (standard(records) @ standard(candidates).T).max(axis=1)  # type: ignore[no-any-return]


def standard(values: Array) -> Array:
    """Return rows with mean 0 and length 1."""
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
