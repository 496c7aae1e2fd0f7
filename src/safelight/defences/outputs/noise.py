"""Noise on scores by OpenDP's mechanisms, and what it promises after how many queries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.outputs.base import OnOutputs
from safelight.defences.outputs.consistent import as_probabilities
from safelight.errors import InputError, MissingExtra
from safelight.recipes.base import Recipe
from safelight.targets.base import Model

NEEDS = "opendp", "outputs", "Noise on scores"


class Mechanism(Enum):
    """Which noise: Laplace promises epsilon alone, Gaussian (epsilon, delta)."""

    LAPLACE = "laplace"
    GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class ScoreNoise(OnOutputs):
    """Add fresh noise to the scores of every answer.

    What it does: each score gets noise of its own from OpenDP; the row is then cut to [0, 1] and scaled to sum to 1,
    and the label is the largest noisy score. The noise is new for every query.
    Evidence for: one answer is differentially private, with the epsilon of `spent(1)`: whatever the model has learnt,
    two answers to a query are never further apart than 2 (L1), so no answer tells much more of one training set than of
    another.
    Evidence against: what is protected is one answer, not the training records. The bound of 2 is the largest change
    there is, as if every record were exchanged, and the cost adds up over queries: at a scale that leaves answers
    useful (0.05) one query costs an epsilon of 40, which promises nothing. Records are protected at such a scale only
    where something else bounds how far one of them moves a score, such as DP-SGD, whose own promise holds without this
    noise. Averaging repeated queries takes the noise away. Who holds the model file sees no noise.
    Cost: accuracy falls with the scale; nothing in training; tens of microseconds a score.

    Laplace noise of this scale on a row with L1 sensitivity 2 gives epsilon = 2 / scale a query, k queries k times
    that. Gaussian noise on a row with L2 sensitivity sqrt(2) gives zero-concentrated rho = 1 / scale ** 2 a query; rho
    adds up, and OpenDP turns the sum into epsilon at delta. What is done after the noise costs nothing. OpenDP draws
    from the system's generator and takes no seed: audits of it repeat in distribution, not to the digit. For a
    regressor, whose predictions have no bound, it has no promise, and refuses.

    Attributes:
        scale: of the noise on each score (> 0): b of Laplace (deviation sqrt(2) b), or the deviation of Gaussian.
        mechanism: "laplace" or "gaussian".
    """

    name: ClassVar[str] = "score-noise"
    title: ClassVar[str] = "Noise on scores"
    source: ClassVar[str] = (
        "Dwork et al. 2006, TCC, section 3; Bun and Steinke 2016, arXiv:1605.02065, section 1.1; sampling: "
        "Canonne et al. 2020, arXiv:2004.00010"
    )
    keeps_labels: ClassVar[bool] = False

    scale: float = 0.05
    mechanism: Mechanism = Mechanism.LAPLACE

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise InputError(f"scale is {self.scale}; use a number above 0, such as 0.05.")

    def before(self, model: Model, records: Records | None, seed: int) -> ScoreNoise:
        if not model.classes:
            raise InputError(
                "Noise on scores disturbs probabilities, and a regressor has none; use output-policy with decimals."
            )
        opendp()
        return self

    def misfit(self, recipe: Recipe) -> str:
        return "" if find_spec("opendp") else str(MissingExtra(*NEEDS))

    def harden(self, scores: Array, key: Array) -> Array:
        """Return noisy probabilities (n, classes); fresh noise for every row, whatever its key."""
        if not len(scores):
            return scores
        noisy = np.array(self.measurement()(scores.ravel().tolist()))
        return as_probabilities(noisy.reshape(scores.shape))

    def measurement(self) -> Any:
        """Return OpenDP's measurement of a vector of scores; raises MissingExtra where it is not installed."""
        return measurement(self.mechanism, self.scale)

    def spent(self, queries: int, delta: float = 1e-6) -> float:
        """Return epsilon after so many queries, each of one record.

        Args:
            queries: (>= 0) records sent, however they were chosen.
            delta: in (0, 1), for Gaussian noise; Laplace needs none.

        Raises:
            InputError: queries or delta out of range.
            MissingExtra: OpenDP is not installed.
        """
        if queries < 0:
            raise InputError(f"queries is {queries}; use a whole number of at least 0.")
        if not 0 < delta < 1:
            raise InputError(f"delta is {delta}; use a number between 0 and 1, such as 1e-6.")
        # Both maps add up: k queries at distance d cost what one costs at k d (Laplace), or at sqrt(k) d (Gaussian).
        if self.mechanism is Mechanism.LAPLACE:
            return float(self.measurement().map(2.0 * queries))
        spending = opendp().c.make_zCDP_to_approxDP(self.measurement())
        return float(spending.map(math.sqrt(2.0 * queries)).epsilon(delta))


@cache
def opendp() -> Any:
    """Return OpenDP with what its maintainers call contributed: proofs that are written, not yet vetted by all.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import opendp.prelude as dp
    except ImportError:
        raise MissingExtra(*NEEDS) from None
    dp.enable_features("contrib")
    return dp


@cache
def measurement(mechanism: Mechanism, scale: float) -> Any:
    """Return noise of this scale on a vector of floats, with what it costs at a distance (L1 or L2) of two vectors."""
    dp = opendp()
    domain = dp.vector_domain(dp.atom_domain(T=float, nan=False))
    if mechanism is Mechanism.LAPLACE:
        return dp.m.make_laplace(domain, dp.l1_distance(T=float), scale=scale)
    return dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=scale)
