"""Secure aggregation: a server learns the sum of its clients' updates and no single one.

The protocol of Bonawitz et al. 2017 (arXiv:1611.04482, figure 4) for a server that follows it but is curious. Each
update goes out under one mask for every other client, which cancel in the sum, and one of its own. Clients hold shares
of each other's secrets: of a client that stays they open its own mask, of one that is lost its pairwise masks, never
both.

What it does not do: the sum itself, and the model made of it, still tell of the records. A server that invents clients,
or that swaps their keys, is not caught: keys would have to be signed. One that gives clients different models is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from safelight.defences.federated import shamir
from safelight.defences.federated.masks import add_mask, public_key
from safelight.defences.federated.secure_client import Keys, Opened, SecureClient, Terms, mask_key
from safelight.errors import InputError


class Traffic(NamedTuple):
    """Bytes that one round sent, all clients together: of keys, shares, masked updates and openings, up and down."""

    keys: int
    shares: int
    updates: int
    openings: int


@dataclass(frozen=True)
class SecureSum:
    """What a server has at the end of a round: the sum, and all messages that it got.

    Attributes:
        total: (size,) float64, the sum of the updates of `counted`.
        counted: whose updates are in it.
        keys: public keys, by client.
        masked: what each client of `counted` sent (size,).
        opened: the shares that each client gave to open the sum.
        traffic: bytes sent.
    """

    total: Array
    counted: tuple[int, ...]
    keys: Mapping[int, Keys]
    masked: Mapping[int, Array]
    opened: Mapping[int, Opened]
    traffic: Traffic


def secure_sum(
    updates: Sequence[Array],
    threshold: int | None = None,
    terms: Terms | None = None,
    lost_early: Set[int] = frozenset(),
    lost_late: Set[int] = frozenset(),
    draw: shamir.Draw = os.urandom,
) -> SecureSum:
    """Run one round in this process, message by message.

    Args:
        updates: one array (size,) a client.
        threshold: how many clients must stay to the end; two thirds when left out.
        terms: of the round, in place of `threshold`.
        lost_early: clients that are lost after they sent shares: their updates are not in the sum.
        lost_late: clients that are lost after they sent their update: it is in the sum.
        draw: unguessable bytes.

    Raises:
        InputError: too few clients at any point, or an update that cannot be sent.
    """
    if terms is None:
        size = np.asarray(updates[0]).size if len(updates) else 0
        terms = Terms(len(updates), 2 * len(updates) // 3 + 1 if threshold is None else threshold, size)
    clients = {name: SecureClient(name, terms, draw) for name in range(len(updates))}
    keys = {name: client.keys() for name, client in clients.items()}
    boxes = {name: client.shares(keys) for name, client in clients.items()}
    masked = {
        name: client.masked(updates[name], {other: box[name] for other, box in boxes.items() if other != name})
        for name, client in clients.items()
        if name not in lost_early
    }
    alive, gone = frozenset(masked), frozenset(boxes) - frozenset(masked)
    enough(len(alive), terms, "sent an update")
    opened = {name: clients[name].open(alive, gone) for name in sorted(alive - lost_late)}
    traffic = Traffic(
        sum(map(len, keys.values())) * (1 + len(keys)),
        2 * sum(len(content) for box in boxes.values() for content in box.values()),
        sum(values.nbytes for values in masked.values()),
        sum(map(len, opened.values())),
    )
    total = open_sum(terms, keys, masked, opened)
    return SecureSum(terms.code.decode(total), tuple(sorted(alive)), keys, masked, opened, traffic)


def open_sum(
    terms: Terms, keys: Mapping[int, Keys], masked: Mapping[int, Array], opened: Mapping[int, Opened]
) -> Array:
    """Return the sum (size,), encoded, of the masked updates: what the server does last.

    Raises:
        InputError: fewer openings than the threshold, or shares that do not fit a client's public key.
    """
    enough(len(opened), terms, "opened the sum")
    total = np.zeros(terms.size, dtype=terms.code.dtype)
    for values in masked.values():
        total += values
    for name in masked:
        seed = shamir.join({holder: given.alive[name] for holder, given in opened.items()}, terms.threshold)
        add_mask(total, seed, -1)
    for name in next(iter(opened.values())).gone:
        secret = shamir.join({holder: given.gone[name] for holder, given in opened.items()}, terms.threshold)
        if public_key(secret) != keys[name].masking:
            raise InputError(f"The shares of client {name} do not give the key that it sent; run the round again.")
        for other in masked:  # what `other` added for the lost client comes off
            add_mask(total, mask_key(secret, keys[other].masking, terms), -1 if other < name else 1)
    return total


def enough(seen: int, terms: Terms, did: str) -> None:
    """Raise InputError where fewer clients than the threshold `did` what a step needs."""
    if seen < terms.threshold:
        raise InputError(
            f"Only {seen} of {terms.clients} clients {did}, and the threshold is {terms.threshold}: the sum cannot be "
            "opened; run the round again, or with a lower threshold."
        )
