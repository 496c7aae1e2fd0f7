"""What a server, or who listens to it, sees of a federated training; and the door that an attack looks through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy import ndarray as Array

from safelight.errors import AccessDenied, InputError
from safelight.threat import Observes, ThreatModel


class Sends(Enum):
    """What a client sends: how its weights moved in local training (FedAvg), or minus one gradient (FedSGD)."""

    WEIGHTS = "weights"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class Round:
    """One round, as the server saw it.

    Attributes:
        weights: (d,) the model that it sent out.
        updates: (m, d) what came back: one row a client, or one row for all where only their sum is seen.
        clients: whose each row is (m,), or () where rows are not one client's.
        counted: how many clients are in each row (m,).
        sends: what an update is.
    """

    weights: Array
    updates: Array
    clients: tuple[int, ...]
    counted: tuple[int, ...]
    sends: Sends

    @property
    def single(self) -> bool:
        """Whether the server saw the updates of single clients."""
        return len(self.clients) > 0


@dataclass(frozen=True)
class Updates:
    """The door of an attacker who observes updates: rounds, one after another, and nothing else.

    Attributes:
        threat: must observe updates.
    """

    _rounds: Sequence[Round]
    threat: ThreatModel

    def rounds(self) -> Iterator[Round]:
        """Yield each round's weights and updates; raises AccessDenied where the attacker does not see updates."""
        if self.threat.observes is not Observes.UPDATES:
            raise AccessDenied(
                f"This attack reads a client's updates, and this attacker observes {self.threat.observes.value}; "
                'set observes = "updates" to allow it.'
            )
        yield from self._rounds

    def __iter__(self) -> Iterator[Round]:
        return self.rounds()


def model_hash(weights: Array) -> bytes:
    """Return the sha256 of a model's weights (d,): what clients compare to know that they got the same model."""
    return hashlib.sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes()).digest()


def agree(hashes: Sequence[bytes]) -> bytes:
    """Return the hash that all clients have.

    Raises:
        InputError: two clients were given different models; with one that makes the others' updates vanish, a sum holds
            nothing but a single update (Pasquini et al. 2022, arXiv:2111.07380).
    """
    for name, one in enumerate(hashes):
        if one != hashes[0]:
            raise InputError(
                f"The server gave client {name} another model than client 0 (sha256 {one.hex()[:8]} and "
                f"{hashes[0].hex()[:8]}); nothing was sent, do not go on with this server."
            )
    return hashes[0]


def save_rounds(path: Path, rounds: Sequence[Round]) -> None:
    """Write rounds as one npz file, a row an update."""
    np.savez_compressed(
        path,
        weights=np.stack([each.weights for each in rounds]),
        updates=np.concatenate([each.updates for each in rounds]),
        rows=np.array([len(each.updates) for each in rounds]),
        clients=np.concatenate([each.clients or [-1] * len(each.updates) for each in rounds]).astype(int),
        counted=np.concatenate([each.counted for each in rounds]).astype(int),
        sends=np.array([each.sends.value for each in rounds]),
    )


def load_rounds(path: Path) -> tuple[Round, ...]:
    """Read rounds that `save_rounds` wrote; raises InputError for any other file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        stops = np.cumsum(content["rows"])[:-1]
        pieces = [np.split(content[name], stops) for name in ("updates", "clients", "counted")]
        return tuple(
            Round(
                weights, updates, () if (who < 0).any() else tuple(who.tolist()), tuple(counted.tolist()), Sends(word)
            )
            for weights, updates, who, counted, word in zip(content["weights"], *pieces, content["sends"].tolist())
        )
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} holds no rounds of a federated training ({error}); write it by save_rounds."
        ) from error
