"""Where to start, and which result to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.augment import HEAVY, Views
from safelight.attacks.inversion.losses import probability
from safelight.targets.base import View

if TYPE_CHECKING:
    from torch import Tensor


def best_starts(values: Array, classes: Array, each: int) -> Array:
    """Return, class by class, the rows of the `each` samples that look most like it: (len(classes), each).

    Args:
        values: (n, all classes) what the target said of n samples of the prior; every answer serves every class.
        classes: class numbers (c,).
        each: samples a class; they repeat when there are fewer than that.
    """
    order = np.argsort(-values[:, classes], axis=0, kind="stable")[:each].T
    return order[:, np.arange(each) % order.shape[1]]


def steadiest(view: View, x: Tensor, classes: Tensor, looks: int, rng: Generator, views: Views = HEAVY) -> Array:
    """Return the mean probability of its class that each image keeps under heavy augmentation (n,).

    Adversarial noise does not survive it, a face does (Struppek et al. 2022, section 3.5). Costs `looks` queries an
    image.
    """
    import torch

    total = torch.zeros(len(x), dtype=torch.float64)
    with torch.no_grad():
        for _ in range(looks):
            total += probability(view.differentiable(views.of(x, rng)), classes).double()
    return (total / looks).numpy()
