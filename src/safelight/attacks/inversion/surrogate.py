"""V006: learn a stand-in from the model's answers to plausible pictures, then invert the stand-in at leisure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.ascend import ascend
from safelight.attacks.inversion.label_only import labels
from safelight.attacks.inversion.losses import Loss
from safelight.attacks.inversion.scores import pictures
from safelight.errors import BudgetSpent, need_torch
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior, public_images
from safelight.priors.pca import Pca
from safelight.targets.base import View
from safelight.threat import Access, Knows

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class SurrogateInversion:
    """Rebuild one picture a class from a surrogate that was trained on the model's answers.

    What it shows: how far a model can be inverted by who only asks it for labels, all questions sent beforehand.
    Who could do it: anyone who may ask the model, gets its answer's name, and has some pictures of the same kind.
    How to lower it: limit queries, and train with differential privacy; hiding the scores is not enough.

    All queries are random plausible pictures, so nothing in their order gives the attack away. Several surrogates, each
    a small network from latents to labels, are trained on the answers; their mean logits are inverted by gradient.

    Attributes:
        loss: identity loss to descend on the surrogates.
        components: eigenfaces of the public images at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        queries: most queries a class; fewer where the budget is smaller.
        surrogates: how many are trained (>= 1).
        hidden: units of their hidden layer; 0 for a linear surrogate.
        epochs: passes over the answers.
        steps: gradient steps of the inversion (>= 1).
        noise: how far a step looks around its latent, in standard deviations.
    """

    code: ClassVar[str] = "V006"
    title: ClassVar[str] = "Inversion of a surrogate"
    needs: ClassVar[Access] = Access.LABEL
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Nguyen et al. 2023, arXiv:2310.19342 (label-only by surrogates), on a simpler prior"
    deep: ClassVar[bool] = True

    loss: Loss = Loss.MAX_MARGIN
    components: int = 60
    mirrored: bool = True
    queries: int = 1100
    surrogates: int = 2
    hidden: int = 128
    epochs: int = 10
    steps: int = 100
    noise: float = 0.6

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the surrogates' probability of the class.

        Raises:
            AccessDenied: there are no public images.
            BudgetSpent: nothing may be sent at all.
        """
        need_torch("Surrogate inversion")
        import torch

        prior = Pca.fit(public_images(view), view.images, self.components, self.mirrored)
        wanted = np.asarray(question.classes)
        whole = int(min(self.queries * len(wanted), view.left()))
        if whole < 1:
            raise BudgetSpent("The query budget is empty; this attack needs at least 1 query.")
        z = prior.start(whole, rng)
        answered = labels(view, prior, z)
        stand_ins = [self._train(prior, z, answered, len(view.classes), rng) for _ in range(self.surrogates)]
        classes = torch.as_tensor(wanted, dtype=torch.int64)

        def logits(place: Tensor) -> Tensor:
            return torch.stack([stand_in(place) for stand_in in stand_ins]).mean(0)

        def objective(place: Tensor) -> Tensor:
            around = torch.as_tensor(rng.standard_normal(place.shape), dtype=place.dtype)
            return -self.loss(logits(place + self.noise * around), classes)

        start = torch.as_tensor(np.tile(prior.centre, (len(wanted), 1)), dtype=torch.float32)
        place, _ = ascend(objective, start, self.steps, 0.1, prior.confine)
        with torch.no_grad():
            sure = logits(place).softmax(1).gather(1, classes[:, None])[:, 0].double().numpy()
        answer = Reconstructions(pictures(prior, place.double().numpy()), wanted, sure)
        view.keep(answer)
        return answer

    def _train(self, prior: Prior, z: Array, answered: Array, classes: int, rng: Generator) -> nn.Module:
        """Return one surrogate: latents (n, size) to logits (n, classes), trained by cross-entropy."""
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            layers = [nn.Linear(prior.size, self.hidden), nn.ReLU()] if self.hidden else []
            net = nn.Sequential(*layers, nn.Linear(self.hidden or prior.size, classes))
        x, y = torch.as_tensor(z, dtype=torch.float32), torch.as_tensor(np.asarray(answered, dtype=int))
        walk = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
        for _ in range(self.epochs):
            for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // 256)):
                walk.zero_grad()
                nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                walk.step()
        return net.requires_grad_(False)
