"""What is seen of a question: its answer as far as the door shows it, or what a part of the network puts out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array
from scipy.linalg import solve

from safelight.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Alignment:
    """Turns answers into observations, in training and in use alike (Yang et al. 2019, section 4.2).

    An observation is the centred log of the scores that are shown. A hidden score reads `gap` below the least that it
    can be told from: the row's smallest shown score where the answer is full, else `least`. Full scores of a softmax
    model so become its logits, up to a constant a row.

    Attributes:
        top: how many of the largest scores an answer keeps.
        least: smallest score above 0 that the door has shown.
        gap: how far below hidden scores read, in units of the log.
    """

    top: int
    least: float
    gap: float = 2.0

    @classmethod
    def to(cls, scores: Array, top: int | None = None, gap: float = 2.0) -> Alignment:
        """Align to answers (n, classes) of the door; `top` is the most scores that one of them shows, or fewer."""
        shown = scores > 0
        most = max(1, int(shown.sum(axis=1).max(initial=1)))
        least = float(scores[shown].min(initial=1.0))
        return cls(most if top is None else min(top, most), least, gap)

    def __call__(self, scores: Array) -> Array:
        """Return the observations (n, classes) of answers (n, classes)."""
        kept = scores
        if self.top < scores.shape[1]:
            cut = np.argpartition(-scores, self.top - 1, axis=1)[:, : self.top]
            kept = np.zeros_like(scores)
            np.put_along_axis(kept, cut, np.take_along_axis(scores, cut, axis=1), axis=1)
        shown = kept > 0
        full = shown.sum(axis=1, keepdims=True) >= self.top
        least = np.where(full, np.where(shown, kept, np.inf).min(axis=1, keepdims=True), self.least)
        log = np.where(shown, np.log(np.where(shown, kept, 1.0)), np.log(least) - self.gap)
        return log - log.mean(axis=1, keepdims=True)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Split:
    """Observes what a part of a torch module puts out: split features, as the server half of a model sees them.

    Attributes:
        net: maps images (n, channels, height, width) to anything.
        part: name of the submodule, as `net.named_modules()` has it.
        batch: images a forward pass.
    """

    net: nn.Module
    part: str
    batch: int = 512

    def __call__(self, x: Array) -> Array:
        """Return the features (n, d) float64 of images x; raises InputError where there is no such part."""
        import torch

        parts = dict(self.net.named_modules())
        if self.part not in parts or not self.part:
            raise InputError(f"The module has no part {self.part!r}; it has {', '.join(map(repr, list(parts)[1:]))}.")
        seen: list[Array] = []
        hook = parts[self.part].register_forward_hook(
            lambda _module, _given, out: seen.append(out.detach().flatten(1).double().numpy())
        )
        try:
            with torch.no_grad():
                for start in range(0, len(x), self.batch):
                    self.net(torch.as_tensor(np.ascontiguousarray(x[start : start + self.batch]), dtype=torch.float32))
        finally:
            hook.remove()
        return np.concatenate(seen)


def sure_answers(observed: Array, classes: Array, shrink: float) -> Array:
    """Return what a model that is sure of each class would be observed to answer (c, d), d the number of classes.

    A bare unit vector is no answer that a model gives: classes that look alike rise together. So each unit vector is
    drawn in to where answers vary, by the ridge S (S + penalty)^-1 with S their covariance, and made as long as a
    typical answer is.

    Args:
        observed: (n, d) answers that were seen.
        classes: class numbers (c,).
        shrink: penalty, as a share of the mean variance.
    """
    n, d = observed.shape
    centre = observed.mean(axis=0)
    away = observed - centre
    spread = away.T @ away / n
    wish = np.eye(d)[classes] - 1 / d
    penalty = max(shrink * float(np.trace(spread)) / d, 1e-12)
    drawn = solve(spread + penalty * np.eye(d), spread @ wish.T, assume_a="pos").T
    length = np.linalg.norm(drawn, axis=1, keepdims=True)
    typical = np.sqrt((away**2).sum(axis=1).mean())
    return centre + typical * drawn / np.maximum(length, 1e-12)  # type: ignore[no-any-return]
