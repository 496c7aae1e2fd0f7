"""V001: walk in pixels to what the model takes for a class."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.random import Generator

from safelight.attacks.inversion.ascend import ascend
from safelight.attacks.inversion.budget import rounds
from safelight.attacks.inversion.losses import Loss, probability
from safelight.errors import need_torch
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import public_images
from safelight.priors.pixels import Pixels
from safelight.targets.base import View
from safelight.threat import Access, Knows

if TYPE_CHECKING:
    from torch import Tensor


class Start(Enum):
    """Which image to start from."""

    GREY = "grey"
    PUBLIC_MEAN = "mean of the public images"


class Process(Enum):
    """What is done to the image after each step, as `Process` of the paper's algorithm 1."""

    NONE = "none"
    MEDIAN = "median of 3 x 3 pixels"


@dataclass(frozen=True)
class GradientInversion:
    """Rebuild one picture a class by following the model's own gradient in pixels.

    What it shows: what the model takes for each class, without any prior knowledge but that pictures are smooth.
    Who could do it: anyone who holds the weights, or is given gradients.
    How to lower it: train with differential privacy, keep the weights on the server, and answer with labels only.

    All classes climb in one batch. The total variation is the paper's auxiliary cost. Long schedules make the pictures
    worse, so there are few steps.

    Attributes:
        loss: identity loss to descend; the paper's is `Loss.CONFIDENCE`.
        start: image to start from.
        process: what is done to each image after each step.
        steps: gradient steps (>= 1).
        rate: size of the first steps, as a share of the range.
        smooth: weight of the total variation.
    """

    code: ClassVar[str] = "V001"
    title: ClassVar[str] = "Gradient inversion in pixels"
    needs: ClassVar[Access] = Access.GRADIENTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Fredrikson, Jha and Ristenpart 2015, doi:10.1145/2810103.2813677, algorithm 1"
    deep: ClassVar[bool] = False

    loss: Loss = Loss.MAX_MARGIN
    start: Start = Start.GREY
    process: Process = Process.NONE
    steps: int = 20
    rate: float = 0.1
    smooth: float = 30.0

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the model's probability of the class at the last step.

        Raises:
            AccessDenied: there are no gradients, or `Start.PUBLIC_MEAN` without public images.
            BudgetSpent: the budget does not pay for one step of all classes.
        """
        need_torch("Gradient inversion")
        import torch

        classes = torch.as_tensor(np.asarray(question.classes), dtype=torch.int64)
        prior = Pixels.grey(view.images)
        if self.start is Start.PUBLIC_MEAN:
            prior = Pixels.at(public_images(view).mean(axis=0), view.images)
        sure = torch.empty(0)

        def objective(z: Tensor) -> Tensor:
            nonlocal sure
            logits = view.differentiable(prior.decode(z))
            sure = probability(logits, classes)
            return -self.loss(logits, classes) - self.smooth * prior.penalty(z)

        def project(z: Tensor) -> Tensor:
            if self.process is Process.MEDIAN:
                z = median(prior.decode(z).reshape(len(z), *view.images.shape)).reshape(z.shape)
            return prior.confine(z)  # type: ignore[no-any-return]

        z = torch.as_tensor(prior.centre, dtype=torch.float32).repeat(len(classes), 1)
        z, _ = ascend(objective, z, rounds(view, len(z), self.steps), self.rate, project)
        return Reconstructions(prior.decode(z).numpy(), np.asarray(question.classes), sure.double().numpy())


def median(x: Tensor) -> Tensor:
    """Return each pixel's median over its 3 x 3 neighbourhood; x (n, channels, height, width)."""
    from torch.nn.functional import pad

    around = pad(x, (1, 1, 1, 1), mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1)
    return around.flatten(4).median(dim=4).values
