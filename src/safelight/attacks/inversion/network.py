"""V007: a network that turns answers back into pictures, trained on public ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator

from safelight.attacks.inversion.budget import MARKS
from safelight.attacks.inversion.decoder import Decoder
from safelight.attacks.inversion.observation import Alignment, sure_answers
from safelight.errors import BudgetSpent, InputError, need_torch
from safelight.evidence import Reconstructions, WhatIsInside
from safelight.priors.base import public_images
from safelight.priors.pca import Pca
from safelight.targets.base import View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class InversionNetwork:
    """Rebuild one picture a class with a network that was trained to turn answers back into public pictures.

    What it shows: recognisable pictures of what the model takes for each class; by `rebuild`, pictures of its users.
    Who could do it: anyone who may ask the model, gets class scores, and has some pictures of the same kind.
    How to lower it: answer with labels only, encrypt answers on their way, and train with differential privacy.

    The model is asked for the public pictures, their mirror images, and random pictures between them, all beforehand:
    nothing in the order of the questions gives the attack away. A decoder learns to map what the door shows of an
    answer to the picture that was asked, and then decodes the answer of a model that is sure of one class.
    `rebuild` does the same with answers that others got: what an eavesdropper on a line, or whoever runs a service and
    keeps its answers, could do; with `Split`, what the server half of a divided model sees of those who ask it.

    Attributes:
        components: eigenfaces of the public images that pictures are made of, at most (>= 1).
        mirrored: whether public images are used mirrored, too.
        queries: most queries a class; fewer where the budget is smaller.
        shrink: ridge penalty of the decoder, as a share of the mean variance of the observations (>= 0).
        doubt: how far the answer of a sure model is drawn in to answers that were seen, in the same unit (>= 0).
        hidden: units of the network; 0 leaves the linear decoder alone.
        epochs: passes of the network over the answers.
    """

    code: ClassVar[str] = "V007"
    title: ClassVar[str] = "Inversion network"
    needs: ClassVar[Access] = Access.SCORES
    knows: ClassVar[frozenset[Knows]] = frozenset({Knows.PUBLIC})
    answers: ClassVar[type] = WhatIsInside
    source: ClassVar[str] = (
        "Yang et al. 2019, arXiv:1902.08552, section 4; split features: He et al. 2019, doi:10.1145/3359789.3359824"
    )
    deep: ClassVar[bool] = True

    components: int = 400
    mirrored: bool = True
    queries: int = 100
    shrink: float = 1e-3
    doubt: float = 0.3
    hidden: int = 256
    epochs: int = 60

    def run(self, view: View, question: WhatIsInside, rng: Generator) -> Reconstructions:
        """Return one picture a class; `confidence` is how far its sure answer rises above all other classes.

        Raises:
            AccessDenied: there are no scores or no public images.
            BudgetSpent: fewer than 2 pictures may be sent.
        """
        need_torch("The inversion network")
        classes = np.asarray(question.classes)
        prior, images = self._pictures(view, self._affordable(view, len(classes)), rng)
        ends = sorted({min(mark * len(classes), len(images)) for mark in MARKS} | {len(images)})
        scores = np.empty((0, len(view.classes)))
        for end in ends:
            scores = np.concatenate([scores, view.scores(images[len(scores) : end])])
            observed = Alignment.to(scores)(scores)
            decoder = self._decoder(prior, observed, images[:end], rng)
            wish = sure_answers(observed, classes, self.doubt)
            answer = Reconstructions(decoder(wish), classes, margin(wish, classes))
            view.keep(answer)
        return answer

    def rebuild(
        self, view: View, seen: Array, rng: Generator, observe: Callable[[Array], Array] | None = None
    ) -> Array:
        """Return the pictures (n, channels, height, width) that were sent, from what was seen of their answers.

        Args:
            view: gives the public images, and the scores of one's own questions.
            seen: scores (n, classes) of the pictures to rebuild, 0 where they were hidden; with `observe`, what it
                gives for them (n, d). Where fewer scores are seen than the door shows, training uses as few.
            observe: gives features (n, d) of images of one's own, such as `Split(net, "3")`; it sends no queries.

        Raises:
            AccessDenied: there are no public images, or no scores where scores are needed.
            BudgetSpent: fewer than 2 pictures may be sent.
            InputError: what was seen has another width than what the door, or `observe`, gives.
        """
        need_torch("The inversion network")
        wanted = int(self.queries * len(view.classes))
        count = wanted if observe is not None else self._affordable(view, len(view.classes))
        prior, images = self._pictures(view, count, rng)
        if observe is None:
            scores = view.scores(images)
            align = Alignment.to(scores, int((seen > 0).sum(axis=1).max(initial=1)))
            observed, seen = align(scores), align(seen)
        else:
            observed = observe(images)
        if seen.shape[1:] != observed.shape[1:]:
            raise InputError(f"What was seen is {seen.shape[1:]} a picture, but one's own is {observed.shape[1:]}.")
        return self._decoder(prior, observed, images, rng)(seen)

    def _affordable(self, view: View, classes: int) -> int:
        count = int(min(self.queries * classes, view.left()))
        if count < 2:
            raise BudgetSpent(f"This attack needs at least 2 queries and {count} of {view.threat.queries} are left.")
        return count

    def _pictures(self, view: View, count: int, rng: Generator) -> tuple[Pca, Array]:
        """Return the eigenfaces and `count` pictures to ask: public ones, their mirrors, random ones, in that order."""
        public = public_images(view)
        prior = Pca.fit(public, view.images, self.components, self.mirrored)
        own = public[rng.permutation(len(public))[:count]]
        if self.mirrored:
            own = np.concatenate([own, own[..., ::-1]])[:count]
        drawn = prior.decode(prior.start(count - len(own), rng))
        return prior, np.concatenate([own, drawn]).astype(np.float32)

    def _decoder(self, prior: Pca, observed: Array, images: Array, rng: Generator) -> Decoder:
        return Decoder.fit(prior, observed, images, self.shrink, self.hidden, self.epochs, rng)


def margin(observed: Array, classes: Array) -> Array:
    """Return how far each observation (c, d) has its class above the best other one (c,), in units of the log."""
    rows = np.arange(len(classes))
    others = observed.copy()
    others[rows, classes] = -np.inf
    return observed[rows, classes] - others.max(axis=1)  # type: ignore[no-any-return]
