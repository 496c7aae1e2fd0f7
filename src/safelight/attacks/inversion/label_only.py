"""V005: walk away from the boundary of each class with nothing but the predicted label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.boundary import Walk, repulsion, sphere
from safelight.attacks.inversion.budget import passed
from safelight.attacks.inversion.linear import largest_margin, linear_model
from safelight.attacks.inversion.scores import pictures
from safelight.errors import BudgetSpent
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior, public_images
from safelight.priors.pca import Pca
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class LabelOnlyInversion:
    """Rebuild one picture a class from predicted labels alone, within what public pictures of other people look like.

    What it shows: pictures of what the model takes for each class, through an API that hides its scores.
    Who could do it: anyone who may ask the model, even if it answers with one word.
    How to lower it: limit queries a client, refuse inputs unlike real ones, and train with differential privacy.

    Random pictures are labelled first, and a linear model of the labels gives a start. From there a sphere of points
    around each class's place is labelled; the place steps away from the points that lie outside the class, and keeps
    the step only if its label stays. A sphere that lies all inside is widened.

    Attributes:
        components: eigenfaces of the public images at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        queries: most queries a class; fewer where the budget is smaller.
        samples: share of the queries that goes into random pictures, in (0, 1].
        points: points on a sphere (>= 2).
        radius: of the first sphere.
        longest: longest step.
        patience: rounds without a wider sphere after which a class rests.
        reach: lengths of the first guess's latent that are tried, as shares of a typical one.
    """

    code: ClassVar[str] = "V005"
    title: ClassVar[str] = "Inversion from labels"
    needs: ClassVar[Access] = Access.LABEL
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = "Kahla et al. 2022, arXiv:2203.06580, section 4 (BREP-MI)"
    deep: ClassVar[bool] = False

    components: int = 100
    mirrored: bool = True
    queries: int = 1100
    samples: float = 0.5
    points: int = 32
    radius: float = 2.0
    longest: float = 3.0
    patience: int = 30
    reach: tuple[float, ...] = (0.5, 0.8)

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the radius of the widest sphere that lay all inside the class.

        It is 0 where no sphere did, and -1 where no picture was ever labelled as the class.

        Raises:
            AccessDenied: there are no public images.
            BudgetSpent: nothing may be sent at all.
        """
        prior = Pca.fit(public_images(view), view.images, self.components, self.mirrored)
        return self.within(prior, view, question, rng)

    def within(self, prior: Prior, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Search in any prior; see `run`."""
        classes = np.asarray(question.classes)
        whole = int(min(self.queries * len(classes), view.left()))
        if whole < 1:
            raise BudgetSpent("The query budget is empty; this attack needs at least 1 query.")
        start = view.spent if not view.free else 0
        walk = self._begin(prior, view, classes, whole, rng)
        spent = lambda: view.spent - start  # noqa
        return None
