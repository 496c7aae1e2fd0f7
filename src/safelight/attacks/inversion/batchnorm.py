"""V003: BatchNorm layers keep the statistics of the training pictures; rebuilt pictures must have them, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.random import Generator

from safelight.attacks.inversion.ascend import ascend
from safelight.attacks.inversion.losses import Loss
from safelight.attacks.inversion.select import steadiest
from safelight.attacks.inversion.statistics import Statistics, batchnorms
from safelight.errors import AccessDenied, need_torch
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.pixels import Pixels
from safelight.targets.base import Images, Model, Side, View
from safelight.targets.fake import LeakyRecipe
from safelight.threat import Access, Knows

if TYPE_CHECKING:
    from torch import Tensor

NONE = "it reads the statistics of BatchNorm layers, and the target has none"


@dataclass(frozen=True)
class BatchNormInversion:
    """Rebuild one picture a class by gradient, held to the statistics that BatchNorm layers keep of the training data.

    What it shows: where pictures of each class are light and dark, enough to tell whose photos they are; no public
        picture is needed.
    Who could do it: anyone who holds the weights of a network with BatchNorm layers.
    How to lower it: keep the weights on the server, use GroupNorm or LayerNorm, which keep no statistics of the data,
        or train with differential privacy.

    All classes of the model climb in one batch, several pictures each, as the statistics are those of all classes
    together. Of a class's pictures the one is kept of which the model stays surest under heavy changes. Distances of
    means and variances are in units of the layer's own, so that one weight suits layers of any scale: that is ours,
    not the paper's.

    Attributes:
        loss: identity loss to descend; the paper's is `Loss.CROSS_ENTROPY`.
        steps: gradient steps (>= 1).
        rate: size of the first steps, as a share of the range.
        smooth: weight of the total variation.
        small: weight of the mean squared distance from grey.
        statistics: weight of the distance from the kept statistics, summed over layers.
        first: how much more the first BatchNorm layer weighs than each other one (> 0).
        restarts: pictures a class (>= 1).
        looks: heavily changed views by which the best picture of a class is chosen (>= 1).
    """

    code: ClassVar[str] = "V003"
    title: ClassVar[str] = "Inversion with BatchNorm statistics"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Yin et al. 2020, arXiv:1912.08795 (DeepInversion), section 3.2"
    deep: ClassVar[bool] = False

    loss: Loss = Loss.MAX_MARGIN
    steps: int = 100
    rate: float = 0.1
    smooth: float = 10.0
    small: float = 30.0
    statistics: float = 10.0
    first: float = 1.0
    restarts: int = 2
    looks: int = 20

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        module = getattr(model, "module", None)
        return "" if module is not None and batchnorms(module()) else NONE

    def planted(self, inputs: Images, leak: float = 1.0) -> LeakyRecipe:
        """Return a recipe whose models leak by their BatchNorm statistics and logits."""
        return LeakyRecipe(inputs, pictures=True, leak=leak, batchnorm=True)

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the probability of the class that it keeps under heavy changes.

        Raises:
            AccessDenied: the weights are not granted, or the model has no BatchNorm layer.
        """
        need_torch("BatchNorm inversion")
        import torch

        prior = Pixels.grey(view.images)
        net = _open(view)
        wanted = np.asarray(question.classes)
        others = np.setdiff1d(np.arange(len(view.classes)), wanted)
        rows = np.repeat(np.concatenate([wanted, others]), self.restarts)
        classes = torch.as_tensor(rows, dtype=torch.int64)

        with Statistics(net, self.first) as statistics:

            def objective(z: Tensor) -> Tensor:
                x = prior.decode(z)
                identity = self.loss(net(x), classes)
                plain = self.smooth * prior.penalty(z) + self.small * ((z - 0.5) ** 2).mean(1)
                return -identity - plain - self.statistics * statistics.distance()

            start = torch.as_tensor(prior.start(len(rows), rng), dtype=torch.float32)
            z, _ = ascend(objective, start, self.steps, self.rate, prior.confine)
        own = len(wanted) * self.restarts
        x = prior.decode(z[:own])
        trust = steadiest(view, x, classes[:own], self.looks, rng)
        best = trust.reshape(-1, self.restarts).argmax(axis=1) + np.arange(len(wanted)) * self.restarts
        return Reconstructions(x.numpy()[best], wanted, trust[best])


def _open(view: View) -> Any:
    """Return the network; raises AccessDenied where there is none, or no BatchNorm layer in it."""
    try:
        net = view.module()
    except AttributeError:
        net = None
    if net is None or not batchnorms(net):
        raise AccessDenied("This attack reads the statistics of BatchNorm layers, and the target has none.")
    return net
