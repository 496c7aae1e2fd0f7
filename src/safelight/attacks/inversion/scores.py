"""V004: search among plausible pictures with nothing but the class scores of a served model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.budget import passed
from safelight.attacks.inversion.linear import largest_margin, linear_model
from safelight.attacks.inversion.search import Genetic, Nes, SeparableCma, Strategy
from safelight.errors import BudgetSpent
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior
from safelight.priors.choose import PriorKind, fitted
from safelight.targets.base import View
from safelight.threat import Access, Knows


class Search(Enum):
    """How to climb without gradients."""

    NES = "natural evolution strategies"
    CMA = "separable CMA-ES"
    GENETIC = "genetic"

    def begin(self, place: Array, population: int, confine: Callable[[Array], Array]) -> Strategy:
        makers = {Search.NES: Nes, Search.CMA: SeparableCma, Search.GENETIC: Genetic}
        return makers[self](place, population, confine)


@dataclass(frozen=True)
class ScoreInversion:
    """Rebuild one picture a class from class scores alone, within what public pictures of other people look like.

    What it shows: recognisable pictures of what the model takes for each class, through its API.
    Who could do it: anyone who may ask the model, gets class scores, and has some pictures of the same kind.
    How to lower it: answer with labels only, limit queries, and train with differential privacy.

    A linear model of the target, fitted to a few random pictures, gives the starts: every answer holds the scores of
    all classes. From there each round tries a population for every class in one batch. What a picture is worth is its
    log odds against the best other class, which go on growing where the probability itself is full.

    Attributes:
        search: how to climb.
        prior: how the public images are described; a learned prior needs torch.
        components: eigenfaces of the public images, or numbers a latent, at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        queries: most queries a class; fewer where the budget is smaller.
        population: pictures a class and round (>= 2).
        samples: random pictures a class that are asked first (>= 1).
        reach: length of the first guess's latent, as a share of a typical one.
        smallest: probabilities are raised by this, so that scores cut to 0 keep a finite log.
    """

    code: ClassVar[str] = "V004"
    title: ClassVar[str] = "Inversion from scores"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = (
        "Ilyas et al. 2018, arXiv:1804.08598, algorithm 1; An et al. 2022, doi:10.14722/ndss.2022.24335"
    )
    deep: ClassVar[bool] = False

    search: Search = Search.NES
    prior: PriorKind = PriorKind.PCA
    components: int = 100
    mirrored: bool = True
    queries: int = 1000
    population: int = 20
    samples: int = 10
    reach: float = 0.5
    smallest: float = 1e-6

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the mean log odds of the class in the last round.

        Raises:
            AccessDenied: there are no scores or no public images.
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
        population = max(2, min(self.population, whole // (4 * len(classes)) * 2))
        z = prior.start(min(whole, self.samples * len(classes)), rng)
        weights, offsets = linear_model(z, view.scores(pictures(prior, z)), self.smallest)
        place = largest_margin(weights, offsets, classes, self.reach)
        odds = (place @ weights + offsets)[np.arange(len(classes)), classes]
        climb = self.search.begin(place, population, prior.confine)
        spent, asked = len(z), np.repeat(classes, population)
        while True:
            answer = Reconstructions(pictures(prior, climb.place), classes, odds)
            if spent + len(asked) > whole:
                break
            if passed(spent / len(classes), (spent + len(asked)) / len(classes)):
                view.keep(answer)
            z = climb.ask(rng)
            worth = log_odds(view.scores(pictures(prior, z.reshape(-1, prior.size))), asked, self.smallest)
            climb.tell(z, worth.reshape(len(classes), -1))
            odds = worth.reshape(len(classes), -1).mean(axis=1)
            spent += len(asked)
        view.keep(answer)
        return answer


def log_odds(scores: Array, classes: Array, smallest: float) -> Array:
    """Return log p_t minus the log of the largest other probability (n,); scores (n, all classes), classes (n,)."""
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, classes] = -1
    best = np.maximum(others.max(axis=1), 0)
    return np.log(scores[rows, classes] + smallest) - np.log(best + smallest)


def pictures(prior: Prior, z: Array) -> Array:
    """Return what latents (n, size) decode to, as float32."""
    return np.asarray(prior.decode(z), dtype=np.float32)
