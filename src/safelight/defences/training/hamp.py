"""HAMP: labels that are never sure, and answers that keep only the order of the classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from numpy import ndarray as Array

from safelight.data.records import Records
from safelight.defences.base import DefendedRecipe, InTraining, needs_torch, refuse
from safelight.defences.outputs.base import Hardened, OnOutputs
from safelight.recipes.base import Recipe
from safelight.settings import check
from safelight.targets.base import Target

if TYPE_CHECKING:
    from torch import Tensor

    from safelight.recipes.objective import Step
    from safelight.recipes.torch import TorchRecipe


@dataclass(frozen=True)
class Hamp(InTraining):
    """Train towards labels of high entropy, reward entropy, and answer with the scores of a random picture.

    What it does: the true class gets only so much of the label that the label's entropy reaches a share of its
    greatest, and the entropy of the model's own scores is rewarded. Each answer then takes the scores that the model
    gives to a picture of pure noise, in the order in which it ranks the classes of the picture asked about.
    Evidence for: members and others are answered with like sureness; better traded off than seven other defences
    in the authors' own comparison (Chen & Pattabiraman 2024, arXiv:2307.01610, section IV).
    Evidence against: label-only attacks see through the exchange, which leaves every order as it was. The training
    alone is a strong label smoothing, which raises membership (Kaya & Dumitras 2021, PMLR 139). Attacked at its most
    exposed records it leaks far more than was reported (Aerni et al. 2024, arXiv:2404.17399). Who holds the model file
    sees the scores without the exchange.
    Cost: one more answer a query in the paper; here 256 are kept. Scores mean nothing any more.

    The label gives p to the true class and (1 - p) / (classes - 1) to each other, with the largest p whose entropy is
    at least gamma log(classes). The loss is the cross-entropy towards it, less alpha times the entropy of the scores.
    Which of 256 noise pictures lends its scores is decided by a hash of the input: asked again, the answer is the same.

    Attributes:
        gamma: in [0, 1), the entropy of labels as a share of the greatest; 0 leaves them sure.
        alpha: weight of the scores' own entropy (>= 0).
        swap: whether answers are exchanged; otherwise the model is shown as it was trained.
    """

    name: ClassVar[str] = "hamp"
    title: ClassVar[str] = "High-entropy training (HAMP)"
    source: ClassVar[str] = "Chen & Pattabiraman 2024, NDSS, arXiv:2307.01610, section III"

    gamma: float = 0.8
    alpha: float = 0.01
    swap: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        return needs_torch(self, recipe, "the loss")

    def __call__(self, recipe: Recipe) -> Recipe:
        refuse(self.misfit(recipe))
        return DefendedRecipe(recipe, self) if self.swap else self._trained(recipe)

    def _trained(self, recipe: Recipe) -> TorchRecipe:
        return replace(cast("TorchRecipe", recipe), objective=HighEntropy(self.gamma, self.alpha))

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        target = self._trained(recipe).fit(records, seed)
        inputs = cast("TorchRecipe", recipe).inputs
        noise = np.random.default_rng([seed, 47]).uniform(inputs.low, inputs.high, (256, *inputs.shape))
        lent = -np.sort(-target.model.scores(noise.astype(np.float32)), axis=1)
        return replace(target, model=Hardened(target.model, LentScores(lent)))


@dataclass(frozen=True)
class LentScores(OnOutputs):
    """Answers with scores of other inputs, in the order of the input's own.

    Attributes:
        lent: (m, classes), each row falling.
    """

    lent: Array

    def harden(self, scores: Array, key: Array) -> Array:
        order = np.argsort(-scores, axis=1, kind="stable")
        answer = np.empty_like(scores)
        np.put_along_axis(answer, order, self.lent[(key % len(self.lent)).astype(int)], axis=1)
        return answer


@dataclass(frozen=True)
class HighEntropy:
    """Cross-entropy towards labels of high entropy, less the entropy of the scores; see `Hamp`.

    Attributes:
        gamma: in [0, 1).
        alpha: (>= 0).
    """

    stacks: ClassVar[bool] = True

    gamma: float
    alpha: float

    def __call__(self, step: Step) -> Tensor:
        from safelight.recipes.objective import cross_entropies

        logits = step.net(step.images)
        logp = logits.float().log_softmax(-1)
        classes = logp.shape[-1]
        sure = top_of(self.gamma, classes)
        other = (1 - sure) / max(classes - 1, 1)
        # A soft label is one of the true class and an equal share of every class.
        loss = (sure - other) * cross_entropies(logits, step.labels) - other * logp.sum(-1)
        entropy = -(logp.exp() * logp).sum(-1)
        return (loss - self.alpha * entropy).mean(-1)


def top_of(gamma: float, classes: int) -> float:
    """Return the largest score of one class that leaves an entropy of at least gamma log(classes)."""
    low, high = 1 / classes, 1.0
    for _ in range(60):  # the entropy falls between the two
        middle = (low + high) / 2
        low, high = (middle, high) if entropy_at(middle, classes) >= gamma * math.log(classes) else (low, middle)
    return low


def entropy_at(sure: float, classes: int) -> float:
    """Return the entropy in nats with `sure` on one class and the rest shared equally by the others."""
    rest = 1 - sure
    others = rest * math.log(rest / (classes - 1)) if rest > 0 else 0.0
    return -sure * math.log(sure) - others
