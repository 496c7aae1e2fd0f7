"""A client of a secure sum: what it sends, and what it refuses."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray as Array

from safelight.defences.federated import shamir
from safelight.defences.federated.fixed_point import FixedPoint
from safelight.defences.federated.masks import add_mask, public_key, seal, shared_key, unseal
from safelight.errors import AccessDenied, InputError


@dataclass(frozen=True)
class Terms:
    """What all agree on before a round.

    Attributes:
        clients: n, how many may take part; they are called 0 to n - 1.
        threshold: t, how many must stay to the end; more than half, so that no server gets both secrets of a client.
        size: numbers in an update.
        code: fixed-point code of an update.
        model: hash of the model that the updates are about, as each client got it.
    """

    clients: int
    threshold: int
    size: int
    code: FixedPoint = field(default_factory=FixedPoint)
    model: bytes = b""

    def __post_init__(self) -> None:
        if not self.clients / 2 < self.threshold <= self.clients or self.clients < 3:
            raise InputError(
                f"A secure sum of {self.clients} clients cannot have the threshold {self.threshold}; it takes at least "
                "3 clients, and a threshold above half of them and at most all."
            )
        self.code.check(self.clients)


@dataclass(frozen=True)
class Keys:
    """The public keys of one client for one round, 32 bytes each: of its sealed shares, and of its masks."""

    sealing: bytes
    masking: bytes

    def __len__(self) -> int:
        return len(self.sealing) + len(self.masking)


@dataclass(frozen=True)
class Opened:
    """What one client gives to open the sum: shares of the masking keys of `gone`, of the own masks of `alive`."""

    gone: Mapping[int, bytes]
    alive: Mapping[int, bytes]

    def __len__(self) -> int:
        return sum(map(len, (*self.gone.values(), *self.alive.values())))


class SecureClient:
    """One client in one round: keys, shares, masked update, opening, in this order (arXiv:1611.04482, figure 4).

    Secrets come from the operating system, not from a seed: who guesses a seed takes the masks off. The sum does not
    depend on them.
    """

    def __init__(self, name: int, terms: Terms, draw: shamir.Draw = os.urandom) -> None:
        self.name, self.terms, self._draw = name, terms, draw
        self._sealing, self._masking, self._own = draw(32), draw(32), draw(32)
        self._known: dict[int, Keys] = {}
        self._held: dict[int, bytes] = {}
        self._opened = False

    def keys(self) -> Keys:
        """Return this round's public keys."""
        return Keys(public_key(self._sealing), public_key(self._masking))

    def shares(self, everyone: Mapping[int, Keys]) -> dict[int, bytes]:
        """Return, sealed for each other client, a share of this client's masking key and of the seed of its own mask.

        Raises:
            InputError: fewer clients than the threshold, or one key given for two clients.
        """
        self._enough(len(everyone), "sent keys")
        if len({keys.masking for keys in everyone.values()}) < len(everyone):
            raise InputError("Two clients have one masking key, which would leave them unmasked; run the round again.")
        self._known = dict(everyone)
        key = shamir.split(self._masking, everyone, self.terms.threshold, self._draw)
        own = shamir.split(self._own, everyone, self.terms.threshold, self._draw)
        self._held[self.name] = key[self.name] + own[self.name]
        return {
            other: seal(self._seal_key(other, self.name, other), key[other] + own[other], self._about(self.name, other))
            for other in everyone
            if other != self.name
        }

    def masked(self, update: Array, sealed: Mapping[int, bytes]) -> Array:
        """Return the update (size,) under this client's own mask and one mask for each client that sent it a share.

        Raises:
            InputError: the update has another shape, or holds NaN, infinity or a value out of range; fewer clients than
                the threshold; a share that was changed on its way, or whose sender was given another model.
        """
        update = np.asarray(update)
        if update.shape != (self.terms.size,):
            raise InputError(
                f"The update of client {self.name} has shape {update.shape}, and the round takes ({self.terms.size},); "
                "give one number a parameter."
            )
        self._enough(len(sealed) + 1, "sent shares")
        for other, content in sealed.items():
            held = unseal(self._seal_key(other, other, self.name), content, self._about(other, self.name))
            if held is None:
                raise InputError(
                    f"Client {self.name} cannot open the share of client {other}: it was changed on its way, or the "
                    "server gave the two different models; nothing was sent, do not go on with this server."
                )
            self._held[other] = held
        total = self.terms.code.encode(update, f"The update of client {self.name}")
        add_mask(total, self._own, 1)
        for other in sealed:
            key = mask_key(self._masking, self._known[other].masking, self.terms)
            add_mask(total, key, 1 if self.name < other else -1)
        return total

    def open(self, alive: Set[int], gone: Set[int]) -> Opened:
        """Return the shares that take off the own masks of `alive` and the pairwise masks of `gone`.

        Raises:
            AccessDenied: both secrets of one client are asked for, or a second opening: an update would lie bare.
            InputError: fewer alive than the threshold, or a client that is not in this round.
        """
        if self._opened:
            raise AccessDenied(
                f"The server asks client {self.name} to open the round a second time, which could bare an update; "
                "nothing was sent, start a new round."
            )
        both = sorted(alive & gone)
        if both:
            raise AccessDenied(
                f"The server asks for both secrets of client {both[0]}, which would bare its update; nothing was sent, "
                "do not go on with this server."
            )
        if alive | gone != set(self._held) or self.name not in alive:
            raise InputError(
                f"The server asks client {self.name} about {len(alive | gone)} clients, and {len(self._held)} sent it "
                "shares; it must name each of them once, and this client among the living."
            )
        self._enough(len(alive), "sent an update")
        self._opened = True
        return Opened({name: self._held[name][:33] for name in gone}, {name: self._held[name][33:] for name in alive})

    def _enough(self, seen: int, did: str) -> None:
        if seen < self.terms.threshold:
            raise InputError(
                f"Only {seen} of {self.terms.clients} clients {did}, and the threshold is {self.terms.threshold}; "
                "wait for more clients, or start again with a lower threshold."
            )

    def _seal_key(self, other: int, sender: int, receiver: int) -> bytes:
        return shared_key(self._sealing, self._known[other].sealing, b"safelight share %d>%d" % (sender, receiver))

    def _about(self, sender: int, receiver: int) -> bytes:
        """Return what a share is bound to: who sends it to whom, all keys, and the model that both were given."""
        keys = b"".join(b"%d" % name + k.sealing + k.masking for name, k in sorted(self._known.items()))
        return hashlib.sha256(b"%d>%d" % (sender, receiver) + keys + self.terms.model).digest()


def mask_key(secret: bytes, public: bytes, terms: Terms) -> bytes:
    """Return the key of the mask that two clients share; it depends on the model that they were given.

    Masks of clients with different models do not cancel, so a server that sends different models learns nothing
    (Pasquini et al. 2022, arXiv:2111.07380, section 6).
    """
    return shared_key(secret, public, b"safelight mask " + terms.model)
