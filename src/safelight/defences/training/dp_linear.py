"""Linear models with differential privacy, by noise on the minimiser, on the objective or on the sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from safelight.data.records import Records
from safelight.defences.base import InTraining, needs_sklearn
from safelight.defences.guarantee import Guarantee, check_delta, noise_seed
from safelight.defences.training import private_glm
from safelight.errors import InputError
from safelight.measures.gaussian_dp import mu_of_epsilon
from safelight.recipes.base import Recipe
from safelight.recipes.sklearn import SklearnRecipe
from safelight.settings import check
from safelight.targets.base import Target
from safelight.targets.sklearn import from_sklearn


@dataclass(frozen=True)
class DpLinear(InTraining):
    """Train a logistic or ridge regression with noise that hides each record.

    What it does: the best weights of a regularised model move little when one record is added. Noise of that size is
    added to them (output perturbation) or, for two classes, to what is minimised (objective perturbation). A
    regression comes from noisy sums of products. What anybody learns of one record is bounded whatever the attack.
    Evidence for: a proof, in a few lines, for each of the three (Chaudhuri, Monteleoni and Sarwate 2011, JMLR 12,
    arXiv:0912.0071; Dwork et al. 2014). Objective perturbation is usually the more accurate of the two.
    Evidence against: the promise is about one record; what a class has in common is learnt. With many columns or few
    records the noise takes all accuracy. The proofs are about real numbers, and computers hold floats.
    Cost: accuracy, least with many records, a small bound and a penalty near a hundredth of the number of records.
    Time as for the plain model.

    Unit and adjacency: one record more or less (add-remove). The number of classes counts as known. A search over
    settings on the private records is not counted.

    Rows longer than `bound` are shortened to it, and the intercept is regularised as the weight of a feature that is
    always 1; with B^2 = bound^2 + 1 and penalty L, one record moves the minimiser by at most B / L (two classes) or
    sqrt(2) B / L (more classes, softmax). The noise is Gaussian with the exact scale for (epsilon, delta), or with
    delta 0 of density exp(-epsilon |b| / movement). The proofs stand beside the formulas in `private_glm`. Steps of a
    pipeline that learn something from the records, such as a scaler, would not be private: they are refused. Of the
    model's own settings C or alpha and fit_intercept count; the penalty is always on the squares.

    Attributes:
        epsilon: promised, in nats (> 0).
        delta: chance that the promise may fail, in [0, 1), at most one over the number of records; 0 for a pure
            promise of a classifier.
        bound: largest norm of a row, in the units of the model's inputs (> 0), chosen without looking at the records;
            None for images, whose range is known.
        largest: largest size of a regression's answer, in its own unit (> 0); None for classifiers.
        penalty: L, of the squared weights' half sum beside a sum over records (> 0); None for the recipe's own (1 / C,
            alpha), raised to what objective perturbation needs.
        objective: for two classes put the noise on the objective; otherwise, and for more classes, on the minimiser.
        repeatable: noise follows the seed; false for a model that is given away.
    """

    name: ClassVar[str] = "dp-linear"
    title: ClassVar[str] = "Private linear model"
    source: ClassVar[str] = "Chaudhuri et al. 2011, JMLR 12, arXiv:0912.0071, sections 3.2 and 3.3"

    epsilon: float = 8.0
    delta: float = 1e-5
    bound: float | None = None
    largest: float | None = None
    penalty: float | None = None
    objective: bool = True
    repeatable: bool = True

    def __post_init__(self) -> None:
        check(self.name, self)

    def misfit(self, recipe: Recipe) -> str:
        why = needs_sklearn(self, recipe, "the weights")
        if why:
            return why
        last = _last(cast(SklearnRecipe, recipe).estimator)
        if type(last) not in (LogisticRegression, Ridge, LinearRegression):
            return (
                f"{self.title} knows logistic, ridge and linear regression, and the model is a {type(last).__name__}; "
                "give one of these."
            )
        for step in _before(cast(SklearnRecipe, recipe).estimator):
            if get_tags(step).requires_fit:
                return (
                    f"{self.title} cannot promise anything for {type(step).__name__}, which learns from the private "
                    "records by itself; use steps that learn nothing, such as a FunctionTransformer with fixed numbers."
                )
        return ""

    def guarantee(self, recipe: Recipe, n: int) -> Guarantee:
        """Return what a training on n records promises; raises InputError where delta is above 1/n."""
        check_delta(self.delta, n)
        classifier = isinstance(_last(cast(SklearnRecipe, recipe).estimator), LogisticRegression)
        sigma = None
        if self.delta > 0 and not (classifier and self.objective):
            sigma = 1 / mu_of_epsilon(self.epsilon, self.delta)
        where = "the weights" if classifier else "the sums of products"
        return Guarantee(self.epsilon, self.delta, sigma=sigma, how=f"noise hides each record in {where}")

    def fit(self, recipe: Recipe, records: Records, seed: int) -> Target:
        made = cast(SklearnRecipe, recipe)
        check_delta(self.delta, len(records))
        fresh = clone(made.estimator)
        rows = records.x if made.inputs is None else records.x.reshape(len(records), -1)
        for step in _before(fresh):
            rows = step.fit_transform(rows)
        last, bound = _last(fresh), self._bound(made)
        try:
            inner = private_glm.clipped(np.asarray(rows, dtype=float), bound)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.title} needs columns of numbers, and some hold words; encode them with fixed categories."
            ) from None
        longest = math.hypot(bound, 1.0) if last.fit_intercept else bound
        inner = private_glm.with_one(inner) if last.fit_intercept else inner
        rng = np.random.default_rng(np.random.SeedSequence([noise_seed(seed, self.repeatable), 0xD95]))
        if isinstance(last, LogisticRegression):
            classes = int(records.y.max()) + 1
            weights = self._classifier(last, inner, records.y, classes, longest, rng)
            last.classes_, last.n_iter_ = np.arange(classes), np.array([1])
        else:
            weights = self._regressor(last, inner, records.y, longest, rng)
        last.coef_ = weights[..., :-1] if last.fit_intercept else weights
        last.intercept_ = weights[..., -1] if last.fit_intercept else np.zeros(weights.shape[:-1])
        last.n_features_in_ = last.coef_.shape[-1]
        if isinstance(rows, pd.DataFrame):
            last.feature_names_in_ = np.asarray(rows.columns, dtype=object)
        labels = range(len(last.classes_)) if hasattr(last, "classes_") else None
        return from_sklearn(fresh, made.inputs if made.inputs is not None else records.x, labels, name="retrained")

    def _classifier(self, last: Any, rows: Array, y: Array, classes: int, longest: float, rng: Any) -> Array:
        if classes < 2:
            raise InputError(f"All {len(y)} records are of one class; give records of at least two.")
        by_push = self.objective and classes == 2
        penalty = self.penalty
        if penalty is None:
            penalty = 1.0 / last.C
            penalty = max(penalty, private_glm.least_penalty(self.epsilon, longest)) if by_push else penalty
        if penalty <= 0:
            raise InputError(
                f"{self.title} hides a record behind the penalty on the weights, and C = {last.C:g} sets none; give a "
                "penalty above 0."
            )
        if by_push:
            return private_glm.pushed(rows, y, longest, penalty, self.epsilon, self.delta, rng)
        found = private_glm.logistic(rows, y, classes, longest, penalty)
        moves = private_glm.movement(classes, longest, penalty)
        return found + private_glm.noise(found.shape, moves, self.epsilon, self.delta, rng)

    def _regressor(self, last: Any, rows: Array, y: Array, longest: float, rng: Any) -> Array:
        if self.largest is None or self.delta == 0:
            raise InputError(
                f"{self.title} needs largest, how large an answer of {type(last).__name__} can be, and a delta above "
                f"0, and they are {self.largest} and {self.delta:g}; give both."
            )
        penalty = self.penalty if self.penalty is not None else float(getattr(last, "alpha", 0.0))
        return private_glm.ridge(rows, y, longest, self.largest, penalty, self.epsilon, self.delta, rng)

    def _bound(self, recipe: SklearnRecipe) -> float:
        if self.bound is not None:
            return self.bound
        if recipe.inputs is None or list(_before(recipe.estimator)):
            raise InputError(
                f"{self.title} needs bound, the largest norm of a row that the model gets, chosen without looking at "
                "the records; give it."
            )
        return math.sqrt(recipe.inputs.size) * max(abs(recipe.inputs.low), abs(recipe.inputs.high))


def _last(estimator: Any) -> Any:
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def _before(estimator: Any) -> list[Any]:
    if not isinstance(estimator, Pipeline):
        return []
    return [step for _, step in estimator.steps[:-1] if step is not None and step != "passthrough"]
