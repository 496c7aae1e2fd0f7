"""Canaries that live in the gradient alone, and how they enter a training with differential privacy.

A canary is a record whose gradient pushes a single weight and nothing else (Nasr et al. 2023, arXiv:2302.07956,
section 4; the Dirac canary of Steinke et al. 2023, arXiv:2305.08846, section 6). No record can do more in a step, and
two canaries never touch the same weight. Whoever sees the released gradients reads each canary at its own weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray as Array

from safelight.errors import InputError


@dataclass(frozen=True)
class Canaries:
    """Canaries of one training, for the trainer alone: the coins stand in it.

    Attributes:
        where: (m,) the weight that each canary pushes, as a position in the flat vector of all weights, all different.
        inside: (steps, m) bool, whether the canary is there at a step. One that is left out gives a gradient of nought.
        clip: the norm that the trainer clips a record's gradient to.
        norm: of a canary's gradient before clipping, above `clip`: a trainer that forgets to clip shows itself.
    """

    where: Array
    inside: Array
    clip: float
    norm: float

    def __post_init__(self) -> None:
        if not len(self.where) or len(np.unique(self.where)) != len(self.where) or self.where.min() < 0:
            raise InputError(
                f"where holds {len(self.where)} weights, one of them twice or below 0, or none; give each canary a "
                "weight of its own, from 0 on."
            )
        if self.inside.ndim != 2 or self.inside.shape[1] != len(self.where):
            raise InputError(
                f"inside has shape {self.inside.shape}; give one row a step and one column for each of the "
                f"{len(self.where)} canaries."
            )
        if not 0 < self.clip <= self.norm:
            raise InputError(
                f"clip is {self.clip} and norm is {self.norm}; give a clipping norm above 0 and canaries no shorter."
            )

    @property
    def steps(self) -> int:
        return len(self.inside)


class CanaryRecords:
    """A torch data set with canaries behind its records, for a loader that samples both alike.

    Item i is the record's own tuple with the canary's number behind it: -1 for a real record. A canary's own data are
    those of record 0; its gradient is exchanged before it counts.
    """

    def __init__(self, records: Sequence[Any], canaries: int) -> None:
        self._records, self._canaries = records, canaries

    def __len__(self) -> int:
        return len(self._records) + self._canaries

    def __getitem__(self, item: int) -> tuple[Any, ...]:
        real = item < len(self._records)
        return (*self._records[item if real else 0], -1 if real else item - len(self._records))


class OpacusCanaries:
    """Puts canaries into a training by Opacus and keeps what is released at their weights.

    Call `plant(numbers)` between `loss.backward()` and `optimizer.step()`; sampling, clipping, noise and scale stay
    Opacus's own.

    Args:
        optimizer: what `PrivacyEngine.make_private` gave, with per-sample gradients ("hooks", "functorch" or "ew").
        canaries: of this training.

    Raises:
        InputError: a canary's weight is beyond the last one.
    """

    def __init__(self, optimizer: Any, canaries: Canaries) -> None:
        sizes = [weights.numel() for weights in optimizer.params]
        if canaries.where.max() >= sum(sizes):
            raise InputError(
                f"a canary pushes weight {canaries.where.max()} and the model has {sum(sizes)} weights; "
                "positions count from 0 in the order of optimizer.params."
            )
        self._optimizer, self._canaries, self._released = optimizer, canaries, list[Array]()
        self._starts = np.cumsum([0, *sizes])
        self._before = optimizer.step_hook  # the privacy accountant's
        optimizer.attach_step_hook(self._observe)

    def plant(self, numbers: Any) -> None:
        """Exchange the gradients of the canaries in a batch: numbers (n,), -1 for a real record.

        Raises:
            InputError: the optimizer keeps no gradients of single records, or the training has more steps than coins.
        """
        if len(self._released) >= self._canaries.steps:
            raise InputError(f"the coins are flipped for {self._canaries.steps} steps; end the training there.")
        numbers = np.asarray(numbers)
        rows = np.flatnonzero(numbers >= 0)
        pushed = numbers[rows]
        there = self._canaries.inside[len(self._released), pushed]
        for number, weights in enumerate(self._optimizer.params):
            kept = getattr(weights, "grad_sample", None)
            gradients = kept[-1] if isinstance(kept, list) else kept
            if gradients is None:
                raise InputError(
                    "the optimizer keeps no gradients of single records (ghost clipping does not); make the training "
                    'private with grad_sample_mode="hooks", "functorch" or "ew".'
                )
            flat = gradients.view(len(gradients), -1)
            flat[rows] = 0.0
            place = self._canaries.where[pushed] - self._starts[number]
            own = there & (place >= 0) & (place < flat.shape[1])
            flat[rows[own], place[own]] = self._canaries.norm

    def observed(self) -> Array:
        """Return what was released at the canaries' weights, (steps, m), in clipping norms.

        Raises:
            InputError: the training took fewer steps than there are coins.
        """
        if len(self._released) != self._canaries.steps:
            raise InputError(
                f"the training took {len(self._released)} steps and the coins are for {self._canaries.steps}; train "
                "to the end."
            )
        return np.stack(self._released)

    def _observe(self, optimizer: Any) -> None:
        if self._before is not None:
            self._before(optimizer)
        scale = 1.0
        if optimizer.loss_reduction == "mean":
            scale = optimizer.expected_batch_size * optimizer.accumulated_iterations
        gradient = np.concatenate([weights.grad.detach().flatten().cpu().numpy() for weights in optimizer.params])
        self._released.append(gradient[self._canaries.where] * (scale / self._canaries.clip))
