"""The informed adversary: all training records but one are known, and a linear model tells the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy import ndarray as Array
from numpy.random import Generator
from sklearn.preprocessing import StandardScaler

from safelight.attacks.attributes.fitted import unpacked
from safelight.attacks.attributes.glm import read, why_not
from safelight.attacks.attributes.pipeline import through
from safelight.data.records import Records
from safelight.errors import AccessDenied, InputError
from safelight.evidence import Rebuilt, WhichIsMissing
from safelight.recipes.exact import ExactLinear
from safelight.targets.base import Images, Model, Side, Table, View
from safelight.threat import Access, Knows


@dataclass(frozen=True)
class InformedAdversary:
    """Solve the training equations of a linear model for the one record that is not known.

    What it shows: whether the weights of a linear model hold a whole training record, exactly.
    Who could do it: anyone who holds the model file and every other training record: the strongest attacker there is,
        and the one that differential privacy promises to stop.
    How to lower it: train with noise (DP-SGD, output perturbation), or stop far from the minimum; round the published
        weights; do not publish the means of a StandardScaler that was fitted on the training records.

    At the minimum of the loss the gradients of all records and of the penalty sum to 0. With m(x) the model's expected
    outcome and r_i = m(x_i) - y_i, the known records leave g = -(sum of r_i x_i + gradient of the penalty) and
    g_0 = -(sum of r_i), and for the missing record z they must be r_z x_z and r_z. So x_z = g / g_0; with several
    classes r_z has one entry each, and x_z is the least-squares solution. The label is the class whose entry of r_z is
    negative; for regression it is m(x_z) - r_z.

    It solves LogisticRegression (L2 or no penalty), LinearRegression, Ridge and PoissonRegressor, with an intercept;
    without one the scale of x_z is lost. Steps before them in a pipeline are undone where they can be (scalers, PCA).
    What the optimiser leaves undone is an error in g, divided by r_z. On standardised breast-cancer data the worst
    column of the median record is off by 2e-7 standard deviations (newton-cholesky, tol=1e-8), by 6e-3 (lbfgs,
    tol=1e-8) or by 3 (scikit-learn's defaults). But where a StandardScaler stands first, its mean times n is the sum
    of all records, and the difference to the known ones is the missing one, whatever the tolerance: off by 1e-12.

    Attributes:
        scaler: whether the record is read off a StandardScaler where one stands first in the pipeline.
    """

    code: ClassVar[str] = "A005"
    title: ClassVar[str] = "Missing record from linear weights"
    needs: ClassVar[Access] = Access.WEIGHTS
    knows: ClassVar[frozenset[Knows]] = frozenset()
    answers: ClassVar[type] = WhichIsMissing
    source: ClassVar[str] = "Balle et al. 2022, arXiv:2201.04845 (generalised linear models)"
    deep: ClassVar[bool] = False

    scaler: bool = True

    def misfit(self, model: Model, side: Side) -> str:
        """Return why this attack cannot run on such a model, or an empty string."""
        estimator = getattr(model, "estimator", None)
        return "the target is no scikit-learn model" if estimator is None else _unsolved(estimator())

    def planted(self, inputs: Images | Table, leak: float = 1.0) -> ExactLinear:
        """Return a recipe that trains to the minimum, or with probability 1 - leak on made-up records."""
        return ExactLinear(inputs, leak)

    def run(self, view: View, question: WhichIsMissing, rng: Generator) -> Rebuilt:
        """Return the missing record: x (1, d) and y (1,).

        Raises:
            AccessDenied: the weights are not granted, or the model has no closed form.
            InputError: a column is no number.
        """
        try:
            whole = view.estimator()
        except AttributeError:
            raise AccessDenied("This attack solves linear models, and the target is no scikit-learn model.") from None
        reason = _unsolved(whole)
        if reason:
            raise AccessDenied(f"This attack has nothing to solve: {reason}.")
        fitted = unpacked(whole)
        steps = fitted.steps
        x, n = _numbers(question.known, view.inputs), len(question.known) + 1
        features, glm = through(steps, x), read(fitted.model, n, view.classes)
        residuals = glm.expected(features) - glm.outcomes(question.known.y)  # (n - 1, k)
        gradient = -(residuals.T @ features + glm.pull)  # (k, features)
        residual = -residuals.sum(axis=0)  # (k,)
        told = self.scaler and bool(steps) and _tells(steps[0], n)
        if told:
            missing = (steps[0].mean_ * n - x.sum(axis=0))[None]
            solved = through(steps, missing)[0]
        else:
            solved = residual @ gradient / max(residual @ residual, np.finfo(float).tiny)
            missing = solved[None]
            for step in reversed(steps):
                missing = np.asarray(step.inverse_transform(missing), dtype=float)
        return Rebuilt(missing, np.array([glm.label(residual, solved, told)]))


def _unsolved(whole: Any) -> str:
    """Return why there is no closed form, or an empty string."""
    fitted = unpacked(whole)
    fixed = next((type(step).__name__ for step in fitted.steps if not hasattr(step, "inverse_transform")), None)
    return why_not(fitted.model) or (f"its step {fixed} cannot be undone" if fixed else "")


def _tells(step: Any, n: int) -> bool:
    """Return whether a step keeps the mean of all n training records."""
    return isinstance(step, StandardScaler) and step.mean_ is not None and bool(np.all(step.n_samples_seen_ == n))


def _numbers(records: Records, inputs: Images | Table) -> Array:
    """Return the records as the target's columns (n, d); pictures flattened."""
    if not isinstance(inputs, Table):
        return np.asarray(records.x, dtype=float).reshape(len(records), -1)
    table = records.x[list(inputs.columns)]
    words = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    if words:
        raise InputError(f"This attack rebuilds numbers and the column {words[0]!r} holds none; encode it beforehand.")
    return table.to_numpy(float)  # type: ignore[no-any-return]
