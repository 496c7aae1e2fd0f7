"""How a server makes one step of many updates: the mean, or a rule that a few bad clients cannot bend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError


class Combine(Protocol):
    """Settings are dataclass fields. Every rule but the mean needs the single updates."""

    def __call__(self, updates: Array, weights: Array) -> Array:
        """Return one step (d,) from updates (clients, d) and weights (clients,), which are at least 0."""
        ...


@dataclass(frozen=True)
class Mean:
    """The weighted mean (McMahan et al. 2017, arXiv:1602.05629, algorithm 1): a single client can move it anywhere."""

    def __call__(self, updates: Array, weights: Array) -> Array:
        return weights @ updates / weights.sum()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Median:
    """The median of each parameter, whatever the weights (Yin et al. 2018, arXiv:1803.01498, option I)."""

    def __call__(self, updates: Array, weights: Array) -> Array:
        return np.median(updates, axis=0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of each parameter without its largest and smallest values (arXiv:1803.01498, option II).

    Attributes:
        share: of the clients that is left out at either end, in [0, 0.5).
    """

    share: float = 0.2

    def __call__(self, updates: Array, weights: Array) -> Array:
        out = int(np.ceil(self.share * len(updates)))
        if 2 * out >= len(updates):
            raise InputError(
                f"A trimmed mean that leaves out {out} of {len(updates)} clients at either end keeps none; lower share."
            )
        return np.sort(updates, axis=0)[out : len(updates) - out].mean(axis=0)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Krum:
    """The update that lies closest to its neighbours (Blanchard et al. 2017, arXiv:1703.02757, section 4).

    The score of an update is the sum of its squared distances to the n - bad - 2 others that are closest; the mean of
    the `keep` updates with the least scores is taken.

    Attributes:
        bad: clients that may be bad (>= 0); n must be at least 2 * bad + 3.
        keep: updates whose mean is taken (>= 1); 1 is Krum itself, more are multi-Krum.
    """

    bad: int = 1
    keep: int = 1

    def __call__(self, updates: Array, weights: Array) -> Array:
        n = len(updates)
        if n < 2 * self.bad + 3 or self.keep > n:
            least = max(2 * self.bad + 3, self.keep)
            raise InputError(
                f"Krum with bad = {self.bad} and keep = {self.keep} needs at least {least} updates, and {n} came; "
                "lower bad or keep, or wait for more clients."
            )
        squares = (updates**2).sum(axis=1)
        apart = np.maximum(squares[:, None] + squares - 2 * updates @ updates.T, 0.0)
        np.fill_diagonal(apart, np.inf)
        scores = np.sort(apart, axis=1)[:, : n - self.bad - 2].sum(axis=1)
        return updates[np.argsort(scores, kind="stable")[: self.keep]].mean(axis=0)  # type: ignore[no-any-return]


def clipped(update: Array, norm: float) -> Array:
    """Return the update (d,), shortened to a Euclidean length of at most `norm`."""
    length = float(np.linalg.norm(update))
    return update if length <= norm else update * (norm / length)
