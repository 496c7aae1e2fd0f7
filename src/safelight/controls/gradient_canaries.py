"""Coins over gradient canaries: audits a training with differential privacy from inside, at full strength.

A black-box audit guesses from the trained model what a record did to it and sees little of what a training may leak.
Here the auditor plays the attacker that the promise is about: it puts the worst gradients in and sees every released
one. Coins decide which canaries are there; the answer is one piece of evidence with its secret.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from numpy import ndarray as Array
from scipy.special import logsumexp
from scipy.stats import rankdata

from safelight.controls.coins.base import Guesses, guess
from safelight.errors import InputError
from safelight.evidence import Evidence, Origin, Role, Scores
from safelight.measures.trade_off import DpSgd
from safelight.recipes.gradient_canaries import Canaries
from safelight.threat import Access, Observes, ThreatModel

CODE = "gradient canaries"
ENOUGH = 20
"""Steps from which a weight's median is known well enough to be taken off."""

Trainer = Callable[[Canaries, int], Array]
"""Trains with the canaries from a seed; returns what it released at their weights, (steps, m), in clipping norms."""


def audit_training(
    train: Trainer,
    claimed: DpSgd,
    where: Array,
    clip: float,
    each_step: bool = False,
    share: float | None = None,
    norm: float | None = None,
    seed: int = 0,
) -> Evidence:
    """Flip the coins, train once, guess, and join the secret.

    Args:
        train: the training under audit, from the start to its last step.
        claimed: how it is said to be private; the guesses are the best there are against it.
        where: (m,) weights that the canaries push, as positions in the flat vector of all weights. Weights that the
            real records hardly move (`quietest`) make the audit strongest.
        clip: the norm that a record's gradient is clipped to.
        each_step: flip the coins anew at each step. There are steps x m of them, each about a single step: that sees
            broken noise behind promises of a large epsilon, which m coins cannot reach (Nasr et al. 2023,
            arXiv:2302.07956, section 5). A weight's median over 20 steps or more is taken off first. Else m coins
            decide about the whole training (Steinke et al. 2023).
        share: of the coins that is guessed, in (0, 1]; 0.8 when left out, with new coins at each step a tenth of the
            sampling rate: a canary that was not drawn is not seen.
        norm: of a canary's gradient before clipping; ten clipping norms when left out.
        seed: of the coins and of the training.

    Returns:
        Evidence that `safelight dp-check` reads; `write_bytes(evidence.to_bytes())` keeps it.

    Raises:
        InputError: the trainer gave something else than (steps, m) numbers, or a setting is impossible.
    """
    share = share if share is not None else claimed.sampling / 10 if each_step else 0.8
    if not 0 < share <= 1:
        raise InputError(f"share is {share}; give a number above 0 and at most 1.")
    rng = np.random.default_rng([seed, 1])
    inside = rng.random((claimed.steps if each_step else 1, len(where))) < 0.5
    norm = 10.0 * clip if norm is None else norm
    canaries = Canaries(np.asarray(where), np.broadcast_to(inside, (claimed.steps, len(where))), clip, norm)
    observed = np.asarray(train(canaries, seed), dtype=np.float64)
    if observed.shape != canaries.inside.shape or not np.isfinite(observed).all():
        raise InputError(
            f"the trainer gave an array of shape {observed.shape} or numbers that are not finite; it must give "
            f"{canaries.inside.shape[0]} steps by {canaries.inside.shape[1]} canaries of finite numbers."
        )
    if each_step and claimed.steps >= ENOUGH:
        # What stays the same at a weight is no canary: real records that pull one way, noise that is drawn once only.
        observed = observed - np.median(observed, axis=0)
    ratios = log_ratios(observed, claimed)
    scores = (ratios if each_step else ratios.sum(axis=0)).ravel()
    threat = ThreatModel(Access.GRADIENTS, observes=Observes.UPDATES, knows=frozenset())
    settings = {**asdict(claimed), "share": share, "clip": clip, "norm": norm, "each_step": each_step}
    origin = Origin(CODE, settings, threat, Role.COINS, "training", seed, 0, True)
    return Evidence(
        origin, Scores(scores[:, None]), beliefs(scores, each_step), inside.ravel().astype(np.int64),
        unit="step" if each_step else "record", adjacency="add-remove",
    )  # fmt: skip


def log_ratios(observed: Array, claimed: DpSgd) -> Array:
    """Return the log of the chance of each observation with the canary over that without it, the same shape.

    log(1 - q + q exp((2 s - 1) / (2 sigma^2))) for an observation s in clipping norms; the sum over the steps is the
    best test of a whole training (Neyman and Pearson).
    """
    q = claimed.sampling
    drawn = (2.0 * observed - 1.0) / (2.0 * claimed.sigma**2)
    weights = np.array([1.0 - q, q]).reshape(2, *[1] * observed.ndim)
    return np.asarray(logsumexp(np.stack([np.zeros_like(drawn), drawn]), axis=0, b=weights))


def beliefs(scores: Array, each_step: bool) -> Array:
    """Return beliefs (n, 2) in out and in by the scores' ranks, so that their scale does not matter: it is claimed.

    Guesses are as many "in" from the top as "out" from the bottom. Of single steps all guesses are "in": there one
    that is in and was not drawn looks like one that is out.
    """
    ranks = rankdata(scores)
    inside = ranks if each_step else ranks - (len(scores) + 1) / 2
    return np.column_stack([np.zeros(len(scores)), inside])


def guesses_of(evidence: Evidence) -> Guesses:
    """Count the right guesses in the evidence of `audit_training`.

    Raises:
        InputError: the evidence is of something else.
    """
    if evidence.origin.attack != CODE or evidence.belief is None or evidence.secret is None:
        raise InputError(f"the evidence is of {evidence.origin.attack}; give one that `audit_training` made.")
    rng = np.random.default_rng([evidence.origin.seed, 2])
    return guess(evidence.belief, evidence.secret, float(evidence.origin.settings["share"]), rng)


def quietest(gradients: Array, count: int) -> Array:
    """Return the positions (count,) of the weights that gradients (n, weights) of real records move least, sorted.

    Raises:
        InputError: there are fewer weights than canaries.
    """
    if count > gradients.shape[1]:
        raise InputError(f"there are {gradients.shape[1]} weights for {count} canaries; use fewer.")
    return np.sort(np.argsort(np.abs(gradients).mean(axis=0), kind="stable")[:count])
