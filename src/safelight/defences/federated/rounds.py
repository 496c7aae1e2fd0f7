"""A federated training in one process, round by round; it keeps what the server would really have seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.federated.combine import Combine, Mean, clipped
from safelight.defences.federated.fixed_point import FixedPoint
from safelight.defences.federated.learner import Learner
from safelight.defences.federated.seen import Round, Sends, Updates, agree, model_hash
from safelight.errors import InputError
from safelight.measures.trade_off import DpSgd
from safelight.targets.base import Target
from safelight.threat import ThreatModel

Shows = Callable[[int, int, Array], Array]
"""What a lying server sends: called with round, client and the model (d,), returns the model that this client gets."""


@dataclass(frozen=True)
class ClientNoise:
    """Differential privacy for whole clients: who sees the models learns little of whether a client took part.

    Each round takes each client with a fixed chance, and adds noise N(0, (sigma clip)^2) to the sum of the clipped
    updates (McMahan et al. 2018, arXiv:1710.06963, algorithm 1). The server adds the noise: it still sees the sum, and
    the sum of the few clients that a low chance takes hides each of them little.

    Attributes:
        sigma: noise multiplier (> 0).
        sampling: chance that a client is in a round, in (0, 1].
    """

    sigma: float
    sampling: float = 1.0


@dataclass(frozen=True)
class Federation:
    """How many clients train one model.

    Attributes:
        learner: what a client computes.
        rounds: how many (>= 1).
        sends: weights after local training (FedAvg), or one gradient (FedSGD).
        rate: by which the server multiplies the combined update (> 0); for gradients it is the learning rate.
        weighted: count a client by its number of records; without it, and with noise, all count alike.
        combine: makes one step of many updates.
        clip: longest update that counts, in Euclidean length (> 0), or None.
        noise: differential privacy for clients, or None; it needs `clip`.
        secure: whether the server gets the sum alone, by a secure sum.
        code: fixed-point code of the secure sum.
        lost: chance that a client is lost in a round, in [0, 1).
    """

    learner: Learner
    rounds: int = 10
    sends: Sends = Sends.WEIGHTS
    rate: float = 1.0
    weighted: bool = True
    combine: Combine = field(default_factory=Mean)
    clip: float | None = None
    noise: ClientNoise | None = None
    secure: bool = False
    code: FixedPoint = field(default_factory=FixedPoint)
    lost: float = 0.0

    def __post_init__(self) -> None:
        if self.secure and not isinstance(self.combine, Mean):
            raise InputError(
                f"{type(self.combine).__name__} needs single updates and a secure sum shows only their sum; use Mean "
                "with a clip, or secure=False."
            )
        if self.noise is not None and (self.clip is None or not isinstance(self.combine, Mean)):
            raise InputError(
                "Differential privacy needs a clip and the mean: noise hides an update only up to a known length; give "
                "clip=1.0, for example, and leave combine out."
            )

    def training(self) -> DpSgd | None:
        """Return the training as an accountant sees it, a client in place of a record; None without noise."""
        return None if self.noise is None else DpSgd(self.noise.sigma, self.noise.sampling, self.rounds)

    def train(self, clients: Sequence[Records], seed: int, shows: Shows | None = None) -> Trained:
        """Train on the clients' records; the same seed gives the same rounds.

        Args:
            clients: the records of each.
            seed: of weights, local training, sampling, losses and noise. The secrets of secure sums are not drawn from
                it, and nothing but the masks depends on them.
            shows: what a lying server gives to whom; clients compare hashes before they send anything.

        Raises:
            InputError: a client got another model, or sends NaN or another shape; too few clients are left.
        """
        if not clients:
            raise InputError("A federated training needs clients, and there are none; share the records out first.")
        rng = np.random.default_rng([seed, 5])
        weights, seen = self.learner.start(seed), []
        for number in range(self.rounds):
            given = [weights if shows is None else shows(number, name, weights) for name in range(len(clients))]
            model = agree([model_hash(each) for each in given])
            sampling = 1.0 if self.noise is None else self.noise.sampling
            taken = rng.random(len(clients)) < sampling
            lost = rng.random(len(clients)) < self.lost
            shares = np.array([len(records) for records in clients], dtype=float)
            if self.noise is not None or not self.weighted:
                shares = np.ones(len(clients))
            updates = {
                name: self._update(given[name], records, _own(seed, number, name), name)
                for name, records in enumerate(clients)
                if taken[name] and not lost[name]
            }
            step, what = self._together(updates, shares, lost, model, weights)
            seen.append(what)
            if self.noise is not None:
                assert self.clip is not None
                scale = self.noise.sigma * self.clip
                step = (step + rng.normal(scale=scale, size=len(weights))) / (sampling * len(clients))
            weights = weights + self.rate * step
        return Trained(self, weights, tuple(seen))

    def _update(self, weights: Array, records: Records, seed: int, name: int) -> Array:
        if self.sends is Sends.WEIGHTS:
            update = self.learner.trained(weights, records, seed) - weights
        else:
            update = -self.learner.gradient(weights, records)
        if update.shape != weights.shape or not np.isfinite(update).all():
            bad = int((~np.isfinite(update)).sum())
            raise InputError(
                f"The update of client {name} has shape {update.shape} and {bad:,} NaN or infinite values, and the "
                f"model has {len(weights):,} weights; mend the client's training, for example by a lower rate."
            )
        return update if self.clip is None else clipped(update, self.clip)

    def _together(
        self, updates: dict[int, Array], shares: Array, lost: Array, model: bytes, weights: Array
    ) -> tuple[Array, Round]:
        """Return the step, or the sum where noise is to be added, and what the server saw."""
        if self.secure:
            total, counted = self._secured(updates, shares, lost, model, len(weights))
            mean = total[:-1] / max(total[-1], 1e-12)
            step = total[:-1] if self.noise is not None else mean
            return step, Round(weights, step[None], (), (counted,), self.sends)
        names = tuple(sorted(updates))
        rows = np.array([updates[name] for name in names]).reshape(len(names), len(weights))
        what = Round(weights, rows, names, (1,) * len(names), self.sends)
        if self.noise is not None:
            return rows.sum(axis=0), what
        return self.combine(rows, shares[list(names)]) if names else np.zeros_like(weights), what

    def _secured(
        self, updates: dict[int, Array], shares: Array, lost: Array, model: bytes, size: int
    ) -> tuple[Array, int]:
        """Return the sum of the updates times their shares, then the sum of shares; and how many clients are in it.

        A client that was not sampled sends zeros, so that the server does not learn who was: the promise of noise
        counts on that.
        """
        from safelight.defences.federated.secure_client import Terms
        from safelight.defences.federated.secure_sum import secure_sum

        n = len(shares)
        terms = Terms(n, n // 2 + 1, size + 1, self.code, model)
        relative = shares / shares.max()
        sent = [
            np.append(updates[name] * relative[name], relative[name]) if name in updates else np.zeros(size + 1)
            for name in range(n)
        ]
        done = secure_sum(sent, terms=terms, lost_early=frozenset(np.flatnonzero(lost).tolist()))
        return done.total, len(done.counted)


def _own(seed: int, number: int, name: int) -> int:
    return int(np.random.default_rng([seed, number, name]).integers(2**31))


@dataclass(frozen=True)
class Trained:
    """A finished federated training.

    Attributes:
        federation: how it was trained.
        weights: (d,) at the end.
        rounds: what the server saw.
    """

    federation: Federation
    weights: Array
    rounds: tuple[Round, ...]

    @property
    def target(self) -> Target:
        return self.federation.learner.target(self.weights)

    def updates(self, threat: ThreatModel) -> Updates:
        """Open the door of an attacker who observes updates."""
        return Updates(self.rounds, threat)

    def epsilon(self, delta: float) -> float:
        """Return the epsilon at `delta` that the models promise to each client; infinite without noise."""
        training = self.federation.training()
        return float("inf") if training is None else training.epsilon(delta)
