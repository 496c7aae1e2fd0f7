"""V005: move away from the border of a class, with nothing but the answered labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.budget import passed
from safelight.attacks.inversion.scores import pictures
from safelight.errors import BudgetSpent
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior
from safelight.priors.choose import PriorKind, fitted
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class BoundaryRepulsion:
    """Rebuild one picture a class from labels alone: points that leave the class push the guess to its middle.

    What it shows: recognisable pictures of what the model takes for each class, though it tells no scores.
    Who could do it: anyone who may ask the model, gets its answer's name, and has some pictures of the same kind.
    How to lower it: limit queries, and train with differential privacy; hiding the scores is not enough.

    Random plausible pictures find each class; the mean of those that carry its label is the start, if it carries it,
    too. A round looks at points on a sphere around the guess. If all keep the label, the sphere grows; else the guess
    moves away from those that lost it, and a move that loses the label is taken back. A class that no picture carries
    keeps the most likely picture, with confidence 0.

    Attributes:
        prior: how the public images are described; a learned prior needs torch.
        components: eigenfaces of the public images, or numbers a latent, at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        queries: most queries a class; fewer where the budget is smaller.
        points: points on the sphere (>= 2).
        samples: share of the queries that goes into finding the classes, in (0, 1).
        radius: of the first sphere, in standard deviations of the prior (> 0).
        growth: factor by which a sphere grows (> 1).
    """

    code: ClassVar[str] = "V005"
    title: ClassVar[str] = "Inversion from labels"
    needs: ClassVar[Access] = Access.LABEL
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Kahla et al. 2022, arXiv:2203.01925 (BREP-MI)"
    deep: ClassVar[bool] = False

    prior: PriorKind = PriorKind.PCA
    components: int = 100
    mirrored: bool = False
    queries: int = 1100
    points: int = 16
    samples: float = 0.5
    radius: float = 2.0
    growth: float = 1.3

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the radius within which the label was kept.

        Raises:
            AccessDenied: there are no public images.
            BudgetSpent: nothing may be sent at all.
        """
        prior = fitted(self.prior, view, self.components, self.mirrored, rng)
        return self.within(prior, view, question, rng)

    def within(self, prior: Prior, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Search in any prior; see `run`."""
        classes = np.asarray(question.classes)
        whole = int(min(self.queries * len(classes), view.left()))
        if whole < 1:
            raise BudgetSpent("The query budget is empty; this attack needs at least 1 query.")
        spent = max(1, int(self.samples * whole))
        drawn = prior.start(spent, rng)
        place, spare = starts(prior, drawn, labels(view, prior, drawn), classes)
        alive = np.flatnonzero(np.isfinite(spare).all(axis=1))
        if spent + len(alive) <= whole:
            held = labels(view, prior, place[alive]) == classes[alive]
            spent += len(alive)
            place[alive] = np.where(held[:, None], place[alive], spare[alive])
        radius, safe = np.full(len(classes), self.radius), np.zeros(len(classes))
        while len(alive) and spent + len(alive) * (self.points + 1) <= whole:
            before = spent
            directions = rng.standard_normal((len(alive), self.points, prior.size))
            directions /= np.linalg.norm(directions, axis=2, keepdims=True)
            around = place[alive, None] + radius[alive, None, None] * directions
            kept = labels(view, prior, around.reshape(-1, prior.size)).reshape(len(alive), -1) == classes[alive, None]
            grows = kept.all(axis=1)
            safe[alive[grows]] = radius[alive[grows]]
            radius[alive[grows]] *= self.growth
            moving = alive[~grows]
            step = np.minimum(radius[moving] / 3, 3.0)[:, None]
            moved = prior.confine(place[moving] + step * repulsion(directions[~grows], kept[~grows]))
            stays = labels(view, prior, moved) == classes[moving]
            place[moving[stays]] = moved[stays]
            spent += kept.size + len(moving)
            if passed(before / len(classes), spent / len(classes)):
                view.keep(Reconstructions(pictures(prior, place), classes, safe.copy()))
        answer = Reconstructions(pictures(prior, place), classes, safe)
        view.keep(answer)
        return answer


def starts(prior: Prior, drawn: Array, answered: Array, classes: Array) -> tuple[Array, Array]:
    """Return, class by class, the mean of the samples that carry its label, and one of them: (c, size) each.

    A class that no sample carries gets the prior's centre, and NaN for the second.
    """
    mean = np.tile(prior.centre, (len(classes), 1)).astype(float)
    one = np.full(mean.shape, np.nan)
    for row, c in enumerate(classes):
        own = drawn[answered == c]
        if len(own):
            mean[row], one[row] = own.mean(axis=0), own[0]
    return mean, one


def repulsion(directions: Array, kept: Array) -> Array:
    """Return the unit push (m, size) away from the points that lost the label.

    Args:
        directions: (m, points, size) unit vectors.
        kept: (m, points) whether the label was kept; at least one a row was not. Points inside have no say.
    """
    outside = (~kept)[:, :, None]
    push = -(directions * outside).sum(axis=1)
    return push / np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 1e-12)


def labels(view: View, prior: Prior, z: Array, batch: int = 512) -> Array:
    """Return the class numbers (n,) that the target answers to latents (n, size); `batch` pictures at a time."""
    parts = [view.labels(pictures(prior, z[start : start + batch])) for start in range(0, len(z), batch)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=int)
