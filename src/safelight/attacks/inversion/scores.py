"""V004: search among plausible pictures with nothing but the class scores of a served model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.budget import passed
from safelight.attacks.inversion.search import Genetic, Nes, SeparableCma, Strategy
from safelight.attacks.inversion.select import best_starts
from safelight.errors import BudgetSpent
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import Prior, public_images
from safelight.priors.pca import Pca
from safelight.targets.base import View
from safelight.threat import Access, Knows


class Search(Enum):
    """How to climb without gradients."""

    NES = "natural evolution strategies"
    CMA = "separable CMA-ES"
    GENETIC = "genetic"

    def begin(self, place: Array, population: int) -> Strategy:
        makers = {Search.NES: Nes, Search.CMA: SeparableCma, Search.GENETIC: Genetic}
        return makers[self](place, population)


@dataclass(frozen=True)
class ScoreInversion:
    """Rebuild one picture a class from class scores alone, within what public pictures of other people look like.

    What it shows: recognisable pictures of what the model takes for each class, through its API.
    Who could do it: anyone who may ask the model and gets class scores.
    How to lower it: answer with labels only, limit queries, and train with differential privacy.

    Each round tries a population for every class in one batch. What a picture is worth is its log odds against the
    best other class, which goes on growing where the probability itself is full.

    Attributes:
        search: how to climb.
        components: eigenfaces of the public images at most (>= 1).
        mirrored: whether public images are used mirrored, too; wrong for writing.
        queries: most queries a class; fewer where the budget is smaller.
        population: pictures a class and round (>= 2).
        samples: share of the queries that goes into random pictures, to choose the starts; in [0, 1).
        plausible: weight of the prior.
        smallest: probabilities are raised by this, so that scores cut to 0 keep a finite log.
    """

    code: ClassVar[str] = "V004"
    title: ClassVar[str] = "Inversion from scores"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = (
        "An et al. 2022, doi:10.14722/ndss.2022.24335, section 4; NES: arXiv:1804.08598, algorithm 1"
    )
    deep: ClassVar[bool] = False

    search: Search = Search.NES
    components: int = 60
    mirrored: bool = False
    queries: int = 1000
    population: int = 20
    samples: float = 0.02
    plausible: float = 3.0
    smallest: float = 1e-6

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is the mean log odds of the class in the last round.

        Raises:
            AccessDenied: there are no scores or no public images.
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
        population = max(2, min(self.population, whole // (2 * len(classes)) // 2 * 2))
        first = max(1, min(whole, int(self.samples * whole)))
        first += (whole - first) % (population * len(classes)) if first + population * len(classes) > whole else 0
        drawn = prior.start(first, rng)
        scores = view.scores(prior.decode(drawn).astype(np.float32))
        starts = best_starts(scores, classes, 1)[:, 0]
        climb = self.search.begin(drawn[starts], population)
        odds = log_odds(scores[starts], classes, self.smallest)
        spent = first
        while spent + population * len(classes) <= whole:
            z = climb.ask(rng)
            flat = z.reshape(-1, prior.size)
            asked = np.repeat(classes, z.shape[1])
            worth = log_odds(view.scores(prior.decode(flat).astype(np.float32)), asked, self.smallest)
            climb.tell(z, (worth - self.plausible * prior.penalty(flat)).reshape(len(classes), -1))
            odds = worth.reshape(len(classes), -1).mean(axis=1)
            if passed(spent / len(classes), (spent + len(flat)) / len(classes)):
                view.keep(picture(prior, climb.place, classes, odds))
            spent += len(flat)
        answer = picture(prior, climb.place, classes, odds)
        view.keep(answer)
        return answer


def log_odds(scores: Array, classes: Array, smallest: float) -> Array:
    """Return log p_t minus the log of the largest other probability (n,); scores (n, all classes), classes (n,)."""
    rows = np.arange(len(scores))
    others = scores.copy()
    others[rows, classes] = -1
    best = np.maximum(others.max(axis=1), 0)
    return np.log(scores[rows, classes] + smallest) - np.log(best + smallest)


def picture(prior: Prior, place: Array, classes: Array, confidence: Array) -> Reconstructions:
    return Reconstructions(prior.decode(place).astype(np.float32), classes, confidence)
