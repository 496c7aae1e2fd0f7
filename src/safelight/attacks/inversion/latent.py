"""V002: search among plausible pictures for what the model takes for a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.ascend import ascend
from safelight.attacks.inversion.augment import GENTLE
from safelight.attacks.inversion.budget import rounds
from safelight.attacks.inversion.features import unlikely
from safelight.attacks.inversion.losses import Loss, probability
from safelight.attacks.inversion.select import best_starts, steadiest
from safelight.errors import need_torch
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior
from safelight.priors.choose import PriorKind, fitted
from safelight.targets.base import View
from safelight.threat import Access, Knows

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LatentInversion:
    """Rebuild one picture a class by gradient, within what public pictures of other people look like.

    What it shows: recognisable pictures of what the model takes for each class.
    Who could do it: anyone who holds the weights, or is given gradients, and has some pictures of the same kind.
    How to lower it: train with differential privacy, keep the weights on the server, and answer with labels only.

    The blocks are those of Plug-and-Play attacks, on eigenfaces in place of a generative network. All classes and
    restarts climb in one batch. Each step looks at a slightly different latent, and latents stay as long as those of
    real pictures: both keep noise that only the model understands out of the pictures.

    Attributes:
        loss: identity loss to descend.
        prior: how the public images are described; a learned prior takes up to a minute more.
        components: eigenfaces of the public images, or numbers a latent, at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        steps: gradient steps (>= 1).
        rate: size of the first steps, in standard deviations.
        noise: how far a step looks around its latent, in standard deviations.
        samples: random pictures of the prior that are scored to choose the starts; 0 starts at the mean picture.
        restarts: starts a class (>= 1).
        views: random views of each picture that a step looks at; 0 for the picture itself.
        looks: heavily changed views by which the best restart is chosen, where there are several.
        features: weight that holds what the last layer is fed to what public pictures feed it (>= 0); it needs the
            weights. It helps `Loss.NEGATIVE_LOGIT`, whose partner it is in arXiv:2304.01669, and hardly the margin.
    """

    code: ClassVar[str] = "V002"
    title: ClassVar[str] = "Inversion with a prior"
    needs: ClassVar[Access] = Access.GRADIENTS
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Struppek et al. 2022, arXiv:2201.12179, section 3; margin loss: arXiv:2302.09814, eq. 4"
    deep: ClassVar[bool] = False

    loss: Loss = Loss.MAX_MARGIN
    prior: PriorKind = PriorKind.PCA
    components: int = 400
    mirrored: bool = True
    steps: int = 50
    rate: float = 0.1
    noise: float = 0.6
    samples: int = 0
    restarts: int = 1
    views: int = 0
    looks: int = 20
    features: float = 0.0

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the model's probability of the class at the last step.

        Raises:
            AccessDenied: there are no gradients or no public images.
            BudgetSpent: the budget does not pay for one step of all classes.
        """
        need_torch("Latent inversion")
        prior = fitted(self.prior, view, self.components, self.mirrored, rng)
        return self.within(prior, view, question, rng)

    def within(self, prior: Prior, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Search in any prior; see `run`."""
        import torch

        wanted = np.asarray(question.classes)
        classes = torch.as_tensor(np.repeat(wanted, self.restarts), dtype=torch.int64)
        starts = self._starts(prior, view, wanted, rng)
        looks = self.looks if self.restarts > 1 and self._left(view, len(classes), self.looks) >= 1 else 0
        steps = rounds(view, len(classes) * max(1, self.views), self._left(view, len(classes), looks))
        sure = torch.empty(0)

        def objective(z: Tensor) -> Tensor:
            nonlocal sure
            around = torch.as_tensor(rng.standard_normal(z.shape), dtype=z.dtype)
            x = prior.decode(z + self.noise * around)
            seen = [view.differentiable(GENTLE.of(x, rng)) for _ in range(self.views)] or [view.differentiable(x)]
            sure = torch.stack([probability(logits, classes) for logits in seen]).mean(0)
            return -torch.stack([self.loss(logits, classes) for logits in seen]).mean(0) - unlike()

        with unlikely(view, self.features, len(classes), rng) as unlike:
            z, _ = ascend(objective, torch.as_tensor(starts, dtype=torch.float32), steps, self.rate, prior.confine)
        x = prior.decode(z)
        trust = steadiest(view, x, classes, looks, rng) if looks else sure.double().numpy()
        best = trust.reshape(-1, self.restarts).argmax(axis=1) + np.arange(len(wanted)) * self.restarts
        return Reconstructions(x.numpy()[best], wanted, trust[best])

    def _starts(self, prior: Prior, view: View, wanted: Array, rng: Generator) -> Array:
        """Return latents (classes * restarts, size): the centre, random ones, or the best of `samples`."""
        import torch

        rows = len(wanted) * self.restarts
        if self.samples and view.left() >= self.samples + rows:
            drawn = prior.start(self.samples, rng)
            with torch.no_grad():
                answers = view.differentiable(torch.as_tensor(prior.decode(drawn), dtype=torch.float32))
            return drawn[best_starts(answers.log_softmax(1).numpy(), wanted, self.restarts).ravel()]
        return prior.start(rows, rng) if self.restarts > 1 else np.tile(prior.centre, (rows, 1))

    def _left(self, view: View, rows: int, looks: int) -> int:
        """Return how many steps the budget pays for, at most `steps`, when `looks` at each result come after them."""
        room = (view.left() - rows * looks) / (rows * max(1, self.views))
        return max(1, int(min(self.steps, room))) if looks == 0 else int(min(self.steps, room))
