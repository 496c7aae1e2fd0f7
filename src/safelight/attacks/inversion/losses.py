"""Identity losses: how far an image is from looking like a class to the target. Lower is better.

Each takes logits (n, classes) and class numbers (n,), both torch tensors, and gives (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Enum):
    """Which identity loss an attack descends."""

    CROSS_ENTROPY = "cross-entropy"
    CONFIDENCE = "one minus confidence"
    NEGATIVE_LOGIT = "negative logit"
    MAX_MARGIN = "max margin"
    POINCARE = "poincare"

    def __call__(self, logits: Tensor, classes: Tensor) -> Tensor:
        return _LOSSES[self](logits, classes)


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return -log p_t."""
    return logits.logsumexp(1) - _own(logits, classes)


def one_minus_confidence(logits: Tensor, classes: Tensor) -> Tensor:
    """Return 1 - p_t (Fredrikson et al. 2015, section 5.1)."""
    return 1 - _own(logits.softmax(1), classes)


def negative_logit(logits: Tensor, classes: Tensor) -> Tensor:
    """Return -z_t: its gradient does not vanish when the class is sure (Nguyen et al. 2023, eq. 4)."""
    return -_own(logits, classes)


def max_margin(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the largest other logit minus z_t (Yuan et al. 2023, eq. 4)."""
    others = logits.scatter(1, classes[:, None], float("-inf"))
    return others.max(1).values - _own(logits, classes)


def poincare(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the distance in the Poincare ball from the logits u, scaled to |u|_1 = 1, to a corner of the ball.

    Struppek et al. 2022, section 3.3: the corner v is the class's unit vector shortened by 1e-4.
    """
    u = logits / logits.abs().sum(1, keepdim=True).clamp_min(1e-12)
    v = (u * 0).scatter(1, classes[:, None], 1 - 1e-4)
    square = ((u - v) ** 2).sum(1)
    room = ((1 - (u**2).sum(1)) * (1 - (v**2).sum(1))).clamp_min(1e-12)
    return (1 + 2 * square / room).arccosh()


def probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Return p_t (n,), cut off from the gradient."""
    return _own(logits.detach().softmax(1), classes)


def _own(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(1, classes[:, None])[:, 0]


_LOSSES: Mapping[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    Loss.CROSS_ENTROPY: cross_entropy,
    Loss.CONFIDENCE: one_minus_confidence,
    Loss.NEGATIVE_LOGIT: negative_logit,
    Loss.MAX_MARGIN: max_margin,
    Loss.POINCARE: poincare,
}
